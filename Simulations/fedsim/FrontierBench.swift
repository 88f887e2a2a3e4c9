// Apache-2.0.
import Codecs
import CommandLineTool
import Coordination
import FederatedAlgorithms
import FederatedCore
import FineTuning
import SimulatedFederation
import Telemetry

/// Runs methods one after the other, on one model as long as they agree on it.
struct FrontierBench {
  let workers: Int?
  let console: Console
  private var work: (of: [JSONValue?], model: SimulatedModel)?

  init(workers: Int?, console: Console) {
    self.workers = workers
    self.console = console
  }

  /// For each method the factor of its rate that came furthest under the seed of the search.
  mutating func factors(
    _ methods: [FrontierFile.Method],
    of file: FrontierFile
  ) throws -> [Double] {
    guard let search = file.search else { return methods.map { _ in 1 } }
    return try methods.map { method in
      var best: (factor: Double, value: Double)?
      for factor in search.factors {
        let run = try method.configuration(
          seed: search.seed,
          factor: factor,
          rounds: search.rounds
        )
        let found = try measure("\(method.name), rate times \(factor)", run)
        guard let value = found.curve.last?.value, value.isFinite else { continue }
        if best.map({ file.isAccuracy ? value > $0.value : value < $0.value }) ?? true {
          best = (factor, value)
        }
      }
      return best?.factor ?? 1
    }
  }

  mutating func measure(
    _ name: String,
    _ configuration: RunConfiguration
  ) throws -> Frontier.Method {
    let json = configuration.json
    let needed = [
      "model", "task", "trainable", "scheme", "frozen", "data", "head_seed", "seed", "simulation",
    ]
    .map { json[$0] }
    let model: SimulatedModel
    if let work, work.of == needed {
      model = work.model
    } else {
      // Another seed shares out the same examples to the same model.
      let same = work.map { $0.of.prefix(7).elementsEqual(needed.prefix(7)) } ?? false
      let loaded = same ? work?.model.model : nil
      // The old one goes before the new one comes.
      work = nil
      model = try SimulatedModel(configuration, loaded: loaded)
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
      curve: curve,
      ends: curve.last.map { [$0.value] } ?? []
    )
    let end = curve.last.map { "\($0.value)" } ?? "–"
    progress.note(
      "\(name): \(end) after \(outcome.view.round) rounds, \(Int(method.up)) B up, "
        + "\(Int(method.down)) B down"
    )
    return method
  }
}
