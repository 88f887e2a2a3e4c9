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
    Operand(
      "RUN.json5",
      "Run files with a simulation object, or tasks of methods.",
      isRepeated: true
    )
  ],
  options: [
    .value("out", "FILE.html", "The page (comparison.html); FILE.csv and FILE.json lie beside it."),
    .value("title", "TEXT", "Its title."),
    .value("target", "NUMBER", "A value of the metric to be reached; may be repeated."),
    .value("seeds", "N,N,…", "Seeds: each run under all of them, the page shows medians."),
    .value("only", "NAME", "Methods whose names contain NAME; may be repeated."),
    .value("workers", "N", "Threads that train clients; changes no bit of the result."),
    .value("set", "KEY=VALUE", "Another value of a key in all runs."),
  ],
  notes: """
    Runs of one simulation.clients, speed and seed meet identical luck, so what differs is what you
    changed. A task file, as fedsim frontier takes it, is as many runs as it has methods. Time is
    virtual. The page needs nothing from elsewhere.
    """
) { arguments, console in
  var runs: [[RunRecord]] = []
  var views: [JSONValue] = []
  let changes = try arguments.changes()
  let seeds = try arguments.seeds()
  for run in try arguments.runs() {
    var repetitions: [RunRecord] = []
    for seed in seeds {
      let outcome = try simulate(
        try run.simulated(changes, seed: seed) { console.note($0) },
        workers: try arguments.workers(),
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

/// The command as it was given, for the foot of the page.
private func words(_ arguments: Arguments) -> String {
  var words = ["fedsim", "compare"] + arguments.operands
  for option in ["seeds", "target", "only", "set"] {
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
