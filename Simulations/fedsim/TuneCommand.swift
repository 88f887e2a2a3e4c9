// Apache-2.0.
import Codecs
import CommandLineTool
import Coordination
import FederatedCore
import FineTuning
import SimulatedFederation
import Telemetry

let tuneCommand = Command(
  "tune",
  "Try every combination of values under several seeds and rank them by the time to a target.",
  operands: [Operand("RUN.json5", "A run file with a simulation object, or a task of methods.")],
  options: [
    .value("vary", "KEY=V,V,…", "Values of a key; repeated, every combination is tried."),
    .value("target", "NUMBER", "The loss or accuracy to be reached."),
    .value("seeds", "N,N,…", "Seeds: every combination meets all of them."),
    .value("only", "NAME", "The method of the task file whose name contains NAME."),
    .value("workers", "N", "Threads that train clients; changes no bit of the result."),
    .value("set", "KEY=VALUE", "Another value of a key in all runs."),
  ],
  notes: """
    Standard output has a line a combination, the best first: the median of the virtual seconds to
    the target, how many seeds missed it, and the median of the metric at the end. A run ends when it
    has reached the target, so this metric tells most where seeds missed; a combination that most
    seeds have missed is not tried on the rest. Report results on other seeds than those that chose.
    """
) { arguments, console in
  let runs = try arguments.runs()
  guard runs.count == 1, let run = runs.first else {
    throw CommandFailure.usage(
      "one run is tuned at a time: name with --only one of \(runs.map(\.name).joined(separator: ", "))"
    )
  }
  guard let target = try arguments.number("target") else {
    throw CommandFailure.usage("--target is missing: the loss or accuracy to be reached")
  }
  let seeds = try arguments.seeds()
  let changes = try arguments.changes()
  var trials: [Trial] = []
  for settings in try combinations(arguments.allValues("vary")) {
    var trial = Trial(settings: settings)
    // Most seeds have missed: the median is endless whatever the others do.
    for seed in seeds where trial.misses * 2 <= seeds.count {
      let own = try settings.map { try RunFile.Change($0) }
      let configuration = try run.simulated(changes + own, seed: seed)
      try trial.run(configuration, to: target, workers: arguments.workers(), console)
    }
    console.note(trial.line)
    trials.append(trial)
  }
  // A stable order: what was named first comes first of equals.
  let ranked = trials.enumerated().sorted {
    $0.element.isBetter(than: $1.element)
      || !$1.element.isBetter(than: $0.element) && $0.offset < $1.offset
  }
  switch console.format {
  case .json:
    console.write(JSONValue.array(ranked.map(\.element.json)).serialized(pretty: true))
  case .text: for (_, trial) in ranked { console.write(trial.line) }
  }
  return .ok
}

/// Every choice of one value of each `KEY=V,V`, as changes of a run file.
private func combinations(_ axes: [String]) throws(CommandFailure) -> [[String]] {
  var all: [[String]] = [[]]
  for axis in axes {
    guard let mark = axis.firstIndex(of: "="), mark != axis.startIndex else {
      throw .usage("--vary \(axis): write KEY=V,V, say algorithm.learning_rate=0.1,0.2")
    }
    let values = axis[axis.index(after: mark)...].split(
      separator: ",",
      omittingEmptySubsequences: false
    )
    all = all.flatMap { chosen in values.map { chosen + ["\(axis[..<mark])=\($0)"] } }
  }
  return all
}

/// One combination and what it came to under each seed.
private struct Trial {
  let settings: [String]
  private var isAccuracy = false
  private var times: [Double] = []
  private var metrics: [Double] = []
  private(set) var misses = 0

  init(settings: [String]) { self.settings = settings }

  mutating func run(
    _ configuration: RunConfiguration,
    to target: Double,
    workers: Int?,
    _ console: Console
  ) throws {
    let work = try SimulatedModel(configuration)
    let progress = ProgressLine(console)
    defer { progress.finish() }
    var federation = try SimulatedFederation(
      configuration,
      work: work,
      workers: workers,
      hooks: SimulationHooks(
        log: Log(minimum: .warning) { progress.note($0) },
        onProgress: { progress.update($0) }
      )
    )
    var (last, isReached): (VersionScore?, Bool) = (nil, false)
    let outcome = try federation.run { report in
      guard let score = report.after else { return false }
      last = score
      isReached = score.accuracy.map { $0 >= target } ?? (score.loss <= target)
      return isReached
    }
    guard let last else {
      throw CommandFailure.usage("\(configuration.name): no version was evaluated")
    }
    isAccuracy = last.accuracy != nil
    metrics.append(last.accuracy ?? last.loss)
    if isReached { times.append(outcome.duration.inSeconds) } else { misses += 1 }
  }

  private var time: Double? { median(times, missing: misses) }

  func isBetter(than other: Trial) -> Bool {
    let (mine, theirs) = (time ?? .infinity, other.time ?? .infinity)
    guard mine == theirs else { return mine < theirs }
    guard misses == other.misses else { return misses < other.misses }
    let (left, right) = (median(metrics) ?? .nan, median(other.metrics) ?? .nan)
    return isAccuracy ? left > right : left < right
  }

  var line: String {
    let seconds = time.map { decimal($0, 1) } ?? "-"
    let metric = median(metrics).map { decimal($0, 4) } ?? "-"
    return "\(seconds) s, \(misses) of \(misses + times.count) missed, "
      + "\(isAccuracy ? "accuracy" : "loss") \(metric): \(settings.joined(separator: " "))"
  }

  var json: JSONValue {
    .object([
      .init("settings", .array(settings.map { .string($0) })),
      .init("seconds", time.map { .number($0) } ?? .null),
      .init("times", .array(times.map { .number($0) })),
      .init("missed", .integer(Int64(misses))),
      .init(isAccuracy ? "accuracy" : "loss", median(metrics).map { .number($0) } ?? .null),
    ])
  }
}
