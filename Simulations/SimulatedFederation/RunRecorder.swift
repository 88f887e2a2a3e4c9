// Apache-2.0.
import Coordination
import FederatedCore
import Reporting
import Telemetry
import Codecs

/// What a report tells about a simulation, gathered while it runs.
final class RunRecorder {
  /// Virtual time.
  var now: Duration = .zero
  var tasks: [RunRecord.Task] = []
  private var versions: [RunRecord.Version] = []

  /// How far the run has got; `computed` tasks are done that the clock has not come to.
  func progress(
    of configuration: RunConfiguration,
    computed: Int
  ) -> SimulationHooks.Progress {
    SimulationHooks.Progress(
      now: now,
      round: max(0, versions.count - 1),
      rounds: configuration.rounds,
      tasks: tasks.count + computed
    )
  }

  /// A version, folded at `time` when all clients together had sent and received `bytes`.
  func add(_ report: RoundReport, time: Duration, bytes: Int) {
    if versions.isEmpty { versions.append(version(0, .zero, 0, [], report.before)) }
    let ages = report.ages.map { Int($0) }
    versions.append(version(Int(report.round), time, bytes, ages, report.after))
  }

  /// The record of a run that is over.
  func record(
    _ configuration: RunConfiguration,
    _ view: CoordinatorMachine.RunView,
    clients: Int
  ) -> RunRecord {
    var facts = ["algorithm", "schedule", "data", "simulation"].map { key in
      (key, configuration.json[key]?.serialized() ?? "")
    }
    facts.append(("trainable", configuration.trainable.joined(separator: " ")))
    facts.append(("seed", "\(configuration.seed)"))
    facts.append(("configuration", configuration.digest.description))
    facts.append(("base weights", view.base?.description ?? "none"))
    facts.append(("final version", view.digest?.description ?? "none"))
    return RunRecord(
      name: configuration.name,
      facts: facts,
      versions: versions,
      tasks: tasks,
      clients: clients,
      duration: now.inSeconds
    )
  }

  private func version(
    _ number: Int,
    _ time: Duration,
    _ bytes: Int,
    _ ages: [Int],
    _ score: VersionScore?
  ) -> RunRecord.Version {
    RunRecord.Version(
      number: number,
      time: time.inSeconds,
      bytes: Double(bytes),
      ages: ages,
      loss: score?.loss,
      accuracy: score?.accuracy
    )
  }
}
