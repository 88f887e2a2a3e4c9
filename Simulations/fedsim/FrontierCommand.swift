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
    .value("seeds", "N,N,…", "Seeds: each method under all of them, the table has medians."),
    .value("rounds", "N", "Rounds of every method, for a quick look."),
    .value("only", "NAME", "Methods whose names contain NAME; may be repeated."),
  ],
  notes: """
    A task file holds name, note, run (a run file without algorithm and rounds) and methods: each a
    name and the keys of the run file it sets. With search: {factors: [0.3, 1, 3], seed: 101, rounds:
    10} each method's learning rate is first tried times each factor under that seed. Methods that
    differ in nothing that the model and its data depend on share both. Bytes are those of frames, the
    mean over clients and rounds but the first, which carries the offer of the run.
    """
) { arguments, console in
  let rounds = try arguments.integer("rounds", in: 1...RunConfiguration.maximumRounds)
  let wanted = arguments.allValues("only")
  let seeds = try arguments.seeds()
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
    let options = arguments.value("seeds").map { " --seeds \($0)" } ?? ""
    let command = "fedsim frontier " + arguments.operands.joined(separator: " ") + options
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
    var bench = FrontierBench(workers: try arguments.workers(), console: console)
    let missing = file.methods.indices.filter { index in
      measured[task][index] == nil
        && (wanted.isEmpty || wanted.contains(where: file.methods[index].name.contains))
    }
    // Seed by seed and not method by method, so that the model is read once.
    let factors = try bench.factors(missing.map { file.methods[$0] }, of: file)
    var found = missing.map { _ in [Frontier.Method]() }
    for seed in seeds {
      for (place, index) in missing.enumerated() {
        let method = file.methods[index]
        let run = try method.configuration(seed: seed, factor: factors[place])
        found[place].append(try bench.measure(method.name, run))
        measured[task][index] = Frontier.Method(median: found[place])
        // A table of many runs is not lost with the last one.
        try write()
      }
    }
  }
  try write()
  console.write("\(out) written, \(stem).json beside it")
  return .ok
}
