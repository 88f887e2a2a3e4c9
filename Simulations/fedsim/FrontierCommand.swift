// Apache-2.0.
import Codecs
import CommandLineTool
import Coordination
import FederatedAlgorithms
import FederatedCore
import FineTuning
import ModelFiles
import Reporting
import SimulatedFederation
import Telemetry

let frontierCommand = Command(
  "frontier",
  "Measure what a byte buys: many methods on one task, one table and one page.",
  operands: [
    Operand("TASK.json5", "Tasks: name, note, run and methods.", isRepeated: true)
  ],
  options: [
    .value("out", "FILE.html", "The page (frontier.html); FILE.json, the table, lies beside it."),
    .value("workers", "N", "Threads that train clients; changes no bit of the result."),
    .flag("add", "Keep what FILE.json has of these tasks already, and measure the rest."),
    .value("embed", "FILE.swift", "Write the table as source, as the programs carry it."),
    .value("rounds", "N", "Rounds of every method, for a quick look."),
    .value("only", "NAME", "Methods whose names contain NAME; may be repeated."),
  ],
  notes: """
    A task file holds name, note, run (a run file without algorithm and rounds) and methods: each a
    name and the keys of the run file it sets. Methods that differ in nothing that the model and its
    data depend on share both. Bytes are those of frames, the mean over clients and rounds but the
    first, which carries the offer of the run.
    """
) { arguments, console in
  let rounds = try arguments.integer("rounds", in: 1...RunConfiguration.maximumRounds)
  let wanted = arguments.allValues("only")
  let files = try arguments.operands.map { path in
    do { return try FrontierFile(path, rounds: rounds) } catch {
      throw CommandFailure("\(path): \(error)", code: .usage)
    }
  }
  let out = arguments.value("out") ?? "frontier.html"
  let stem = out.hasSuffix(".html") ? String(out.dropLast(5)) : out
  var known = Frontier(tasks: [])
  if arguments.isSet("add"), let bytes = try? ModelFolder.bytes(stem + ".json", limit: 1 << 24) {
    known = try Frontier(JSONValue.parse(bytes))
  }
  var measured = files.map { file in
    file.methods.map { method in
      known.tasks.first { $0.name == file.name }?.methods.first { $0.name == method.name }
    }
  }
  func write() throws {
    let tasks = zip(files, measured).map { file, methods in
      Frontier.Task(
        name: file.name,
        isAccuracy: file.isAccuracy,
        methods: methods.compactMap { $0 }
      )
    }
    let command = "fedsim frontier " + arguments.operands.joined(separator: " ")
    let figures = zip(files, tasks).map { $0.figure($1) }
    try ModelFolder.write(
      Array(FrontierPage(figures, command: command).html.utf8),
      to: out
    )
    let table = Frontier(tasks: tasks)
    try ModelFolder.write(Array(table.text.utf8), to: stem + ".json")
    if let path = arguments.value("embed") {
      try ModelFolder.write(Array(table.source.utf8), to: path)
    }
  }
  for (task, file) in files.enumerated() {
    var bench = FrontierBench(
      workers: try arguments.integer("workers", in: 1...1024),
      console: console
    )
    for (index, method) in file.methods.enumerated() where measured[task][index] == nil {
      guard wanted.isEmpty || wanted.contains(where: method.name.contains) else { continue }
      measured[task][index] = try bench.measure(method.name, method.configuration)
      // A table of many runs is not lost with the last one.
      try write()
    }
  }
  try write()
  console.write("\(out) written, \(stem).json beside it")
  return .ok
}

/// A task of a frontier as its file describes it.
private struct FrontierFile {
  let name: String
  let note: String
  let methods: [(name: String, configuration: RunConfiguration)]

  init(_ path: String, rounds: Int?) throws {
    let bytes = try ModelFolder.bytes(path, limit: RunConfiguration.maximumBytes)
    let file = JSONField(try RunConfiguration.syntax(json5: bytes), path: "")
    name = try file["name"].string()
    note = try file["note"].string(default: "")
    let shared = try file["run"].members().map { JSONValue.Member($0.key, $0.field.value ?? .null) }
    let folder =
      "/" + RunFile.absolute(path).split(separator: "/").dropLast().joined(separator: "/")
    methods = try file["methods"].items().map { method in
      let name = try method["name"].string()
      var members = shared
      for (key, field) in try method.members() {
        // A scheme says what trains in place of the patterns.
        members.removeAll { $0.key == key || key == "scheme" && $0.key == "trainable" }
        members.append(JSONValue.Member(key, field.value ?? .null))
      }
      if let rounds {
        members.removeAll { $0.key == "rounds" }
        members.append(JSONValue.Member("rounds", .integer(Int64(rounds))))
      }
      return (name, try RunConfiguration(.object(members)).resolved(against: folder))
    }
  }

  var isAccuracy: Bool { methods.allSatisfy { $0.configuration.labels != nil } }

  func figure(_ task: Frontier.Task) -> FrontierFigure {
    FrontierFigure(
      task: name,
      metric: isAccuracy ? "held-out accuracy" : "held-out loss",
      note: note,
      methods: task.methods.map(\.figure)
    )
  }
}

/// Runs methods one after the other, on one model as long as they agree on it.
private struct FrontierBench {
  let workers: Int?
  let console: Console
  private var work: (of: [JSONValue?], model: SimulatedModel)?

  init(workers: Int?, console: Console) {
    self.workers = workers
    self.console = console
  }

  mutating func measure(
    _ name: String,
    _ configuration: RunConfiguration
  ) throws -> Frontier.Method {
    let json = configuration.json
    let needed = [
      "model", "task", "trainable", "scheme", "frozen", "data", "seed", "head_seed", "simulation",
    ]
    .map { json[$0] }
    let model: SimulatedModel
    if let work, work.of == needed {
      model = work.model
    } else {
      // The old one goes before the new one comes.
      work = nil
      model = try SimulatedModel(configuration)
      work = (needed, model)
    }
    let progress = ProgressLine(console)
    defer { progress.finish() }
    var curve: [Frontier.Point] = []
    var traffic: [RoundReport.Traffic] = []
    var federation = try SimulatedFederation(
      configuration,
      work: model,
      workers: workers,
      hooks: SimulationHooks(
        log: Log(minimum: .warning) { progress.note($0) },
        onReport: { report, bytes in
          func note(_ round: Int, _ score: VersionScore?) {
            guard let value = score.map({ $0.accuracy ?? $0.loss }) else { return }
            curve.append(Frontier.Point(round: round, value: value))
          }
          if curve.isEmpty { note(0, report.before) }
          note(Int(report.round), report.after)
          if report.round > 1, let bytes { traffic.append(bytes) }
        },
        onProgress: { progress.update($0) }
      )
    )
    let outcome = try federation.run()
    let count = Double(max(1, traffic.count))
    let method = Frontier.Method(
      name: name,
      algorithm: configuration.algorithm.json,
      parameters: model.model.parameterCount,
      isAdapter: configuration.scheme?.contains("lora") ?? false,
      up: traffic.reduce(0) { $0 + $1.up } / count,
      down: traffic.reduce(0) { $0 + $1.down } / count,
      rounds: configuration.rounds,
      steps: configuration.algorithm.steps,
      curve: curve
    )
    let end = curve.last.map { "\($0.value)" } ?? "–"
    progress.note(
      "\(name): \(end) after \(outcome.view.round) rounds, \(Int(method.up)) B up, "
        + "\(Int(method.down)) B down"
    )
    return method
  }
}

extension Frontier.Method {
  fileprivate var figure: FrontierFigure.Method {
    FrontierFigure.Method(
      name: name,
      group: !needsGradients ? 0 : !growsWithModel ? 1 : isAdapter ? 2 : 3,
      up: up,
      down: down,
      rounds: rounds,
      steps: steps,
      curve: curve.map { ($0.round, $0.value) }
    )
  }
}
