// Apache-2.0.
import Codecs
import CommandLineTool
import Coordination
import FederatedCore
import FineTuning
import ModelFiles
import Reporting
import SimulatedFederation
import Telemetry

let compareCommand = Command(
  "compare",
  "Simulate runs one after another and write one page that compares them.",
  operands: [
    Operand("RUN.json5", "Run files with a simulation object.", isRepeated: true)
  ],
  options: [
    .value("out", "FILE.html", "The page (comparison.html); FILE.csv and FILE.json lie beside it."),
    .value("title", "TEXT", "Its title."),
    .value("target", "NUMBER", "A value of the metric to be reached; may be repeated."),
    .value("seeds", "N,N,…", "Seeds: each run under all of them, the page shows medians."),
    .value("workers", "N", "Threads that train clients; changes no bit of the result."),
    .value("set", "KEY=VALUE", "Another value of a key in all runs."),
  ],
  notes: """
    Runs of one simulation.clients, speed and seed meet identical luck, so what differs is what you
    changed. Time is virtual. The page needs nothing from elsewhere.
    """
) { arguments, console in
  var runs: [[RunRecord]] = []
  var views: [JSONValue] = []
  let changes = try arguments.changes()
  let seeds = try arguments.value("seeds").map(seeds)
  for path in arguments.operands {
    var repetitions: [RunRecord] = []
    for seed in seeds ?? [nil] {
      let configuration: RunConfiguration
      do {
        let own = try seed.map { try RunFile.Change("seed=\($0)") }
        configuration = try RunFile.read(path, changing: changes + (own.map { [$0] } ?? [])) {
          console.note($0)
        }
      } catch {
        throw CommandFailure("\(path): \(error)", code: .usage)
      }
      let outcome = try simulate(
        configuration,
        workers: try arguments.integer("workers", in: 1...1024),
        console
      )
      repetitions.append(outcome.record)
      views.append(outcome.view.json)
    }
    runs.append(repetitions)
  }
  let targets = try arguments.allValues("target").map { text throws(CommandFailure) in
    guard let value = Double(text) else { throw .usage("--target: a number, not \(text)") }
    return value
  }
  let page = ReportPage(
    title: arguments.value("title") ?? "Comparison of runs",
    runs.compactMap(\.first),
    command: words(arguments),
    targets: targets,
    repetitions: runs
  )
  let out = arguments.value("out") ?? "comparison.html"
  let stem = out.hasSuffix(".html") ? String(out.dropLast(5)) : out
  try ModelFolder.write(Array(page.html.utf8), to: out)
  try ModelFolder.write(Array(page.csv.utf8), to: stem + ".csv")
  let json = JSONValue.array(views).serialized(pretty: true) + "\n"
  try ModelFolder.write(Array(json.utf8), to: stem + ".json")
  console.write("\(out) written, \(stem).csv and \(stem).json beside it")
  return .ok
}

private func seeds(_ text: String) throws(CommandFailure) -> [UInt64?] {
  try text.split(separator: ",", omittingEmptySubsequences: false).map {
    word throws(CommandFailure) in
    guard let seed = UInt64(word), seed <= Int.max else {
      throw .usage("--seeds: whole numbers with commas between, not \(text)")
    }
    return seed
  }
}

/// The command as it was given, for the foot of the page.
private func words(_ arguments: Arguments) -> String {
  var words = ["fedsim", "compare"] + arguments.operands
  for option in ["seeds", "target", "set"] {
    for value in arguments.allValues(option) { words.append("--\(option) '\(value)'") }
  }
  return words.joined(separator: " ")
}

/// Runs one and says its rounds on standard error.
private func simulate(
  _ configuration: RunConfiguration,
  workers: Int?,
  _ console: Console
) throws -> SimulatedFederation.Outcome {
  let work = try SimulatedModel(configuration)
  let progress = ProgressLine(console)
  var federation = try SimulatedFederation(
    configuration,
    work: work,
    workers: workers,
    hooks: SimulationHooks(
      log: Log(minimum: .warning) { progress.note($0) },
      onReport: { report, traffic in
        progress.note("\(configuration.name): \(report.line(traffic))")
      },
      onProgress: { progress.update($0) }
    )
  )
  defer { progress.finish() }
  return try federation.run()
}
