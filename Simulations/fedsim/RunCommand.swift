// Apache-2.0.
import Codecs
import CommandLineTool
import Coordination
import FederatedCore
import FineTuning
import SimulatedFederation
import Telemetry
import Tensors

let runCommand = Command(
  "run",
  "Simulate a run from its first round to its last.",
  operands: [Operand("RUN.json5", "The run file, with a simulation object.")],
  options: [
    .value("workers", "N", "Threads that train clients; changes no bit of the result."),
    .value("seed", "N", "Another seed than the file's."),
    .value("set", "KEY=VALUE", "Another value of a key, say algorithm.family=\"independent\"."),
    .value("export", "DIR", "Write the tuned model as a Hugging Face folder."),
    .value("events", "FILE", "Write every event as a line of JSON."),
    .value("checkpoint", "FILE", "Keep results in FILE, so that a kill costs nothing."),
    .flag("resume", "Go on with the results in the checkpoint, where there are some."),
    .flag("verbose", "Write more to the log."),
  ],
  notes: """
    A line a round goes to standard output, the log to standard error. Seconds are virtual: how long
    the round would take on the devices described. Bytes are those of frames before TLS, the mean of
    the clients whose results count. A run that is resumed plays its events again and takes from the
    checkpoint what was computed: it comes to the same bits and the same events.
    """
) { arguments, console in
  let path = arguments.operands[0]
  let configuration: RunConfiguration
  do {
    configuration = try RunFile.read(path, changing: try arguments.changes()) { console.note($0) }
  } catch {
    throw CommandFailure("\(path): \(error)", code: .usage)
  }
  let clock = ContinuousClock()
  let began = clock.now
  let work = try SimulatedModel(configuration)
  if console.format == .text { describe(configuration, work, console) }
  let journal = try openJournal(configuration, arguments, console)
  let events = try arguments.value("events").map { path in try EventFile(path) }
  let progress = ProgressLine(console)
  var federation = try SimulatedFederation(
    configuration,
    work: work,
    workers: try arguments.workers(),
    journal: journal,
    hooks: SimulationHooks(
      log: Log(minimum: arguments.isSet("verbose") ? .info : .warning) { progress.note($0) },
      onReport: { report, traffic in
        switch console.format {
        case .text: progress.write(report.line(traffic))
        case .json: progress.write(report.json(traffic).serialized())
        }
      },
      onEvent: events.map { events in { events.write($0) } },
      onProgress: { progress.update($0) }
    )
  )
  let outcome = try federation.run()
  try events?.finish()
  progress.finish()
  let seconds = began.duration(to: clock.now).inSeconds
  if let directory = arguments.value("export") {
    let workspace = try TrainerWorkspace(work.model, team: ThreadTeam(threads: 1))
    workspace.load(try outcome.view.updates())
    try workspace.export(configuration, to: directory)
  }
  report(outcome, seconds, console)
  return .ok
}

private func openJournal(
  _ configuration: RunConfiguration,
  _ arguments: Arguments,
  _ console: Console
) throws -> ResultJournal? {
  guard let path = arguments.value("checkpoint") else {
    guard !arguments.isSet("resume") else {
      throw CommandFailure.usage("--resume goes on with a --checkpoint FILE; name it")
    }
    return nil
  }
  let journal: ResultJournal
  do {
    journal = try ResultJournal(path: path, configuration, resumes: arguments.isSet("resume"))
  } catch let error as SimulationError {
    throw CommandFailure("\(error)", code: .usage)
  }
  if journal.found > 0 { console.note("\(path): \(journal.found) results are there already") }
  return journal
}

private func describe(_ configuration: RunConfiguration, _ work: SimulatedModel, _ console: Console)
{
  let counts = (0..<work.clientCount).lazy.map { work.exampleCount(of: $0) }
  console.write(
    "model \(configuration.model): \(work.model.parameterCount) parameters train, "
      + "\(work.model.mappedBytes) bytes mapped, base \(work.base)"
  )
  console.write(
    "data: \(work.summary); \(counts.count) clients with "
      + "\(counts.min() ?? 0) to \(counts.max() ?? 0) examples"
  )
  var fits: [(fit: String, clients: Int)] = []
  for client in 0..<work.clientCount {
    guard let text = describeDevice(of: client, work) else { return }
    if let place = fits.firstIndex(where: { $0.fit == text }) {
      fits[place].clients += 1
    } else {
      fits.append((text, 1))
    }
  }
  for (fit, clients) in fits { console.write("devices: \(clients) \(fit)") }
}

/// What a client's device trains, nil where all train alike.
private func describeDevice(of client: Int, _ work: SimulatedModel) -> String? {
  do {
    guard let fit = try work.fit(of: client) else { return nil }
    return "of rank \(fit.rank), batches of \(fit.batchSize), frozen matrices \(fit.frozen)"
  } catch {
    return "away: \(error)"
  }
}

private func report(
  _ outcome: SimulatedFederation.Outcome,
  _ seconds: Double,
  _ console: Console
) {
  let view = outcome.view
  switch console.format {
  case .json:
    guard case .object(let members) = view.json else { return }
    console.write(
      JSONValue.object(
        members + [
          .init("tasks", .integer(Int64(outcome.tasks))),
          .init("virtual_seconds", .number(outcome.duration.inSeconds)),
          .init("seconds", .number(seconds)),
        ]
      ).serialized()
    )
  case .text:
    console.write(
      "run \(outcome.isComplete ? view.state : "ended by simulation.seconds"): \(view.round) rounds, \(outcome.tasks) tasks, "
        + "\(decimal(outcome.duration.inSeconds, 1)) virtual seconds in \(decimal(seconds, 1)) s"
    )
    if let digest = view.digest { console.write("digest \(digest)") }
  }
}

extension Arguments {
  /// The threads of `--workers`.
  func workers() throws(CommandFailure) -> Int? { try integer("workers", in: 1...1024) }

  /// Other values of keys that `--seed` and `--set` give.
  func changes() throws(FederationError) -> [RunFile.Change] {
    var changes: [RunFile.Change] = []
    for text in allValues("set") { changes.append(try RunFile.Change(text)) }
    if let seed = value("seed") { changes.append(try RunFile.Change("seed=\(seed)")) }
    return changes
  }
}
