// Apache-2.0.
import FederatedCore
import RunLedger
import Telemetry

/// Held-out scores and the reports that wait for them.
extension RunMachine {
  private var scoresThisVersion: Bool {
    guard let evaluation = configuration.evaluation else { return false }
    return round % UInt32(evaluation.every) == 0 || round == UInt32(configuration.rounds)
  }

  /// Has the current version evaluated, where that is due and not done.
  mutating func score(_ effects: inout Effects) {
    guard scoresThisVersion, scores[round] == nil else { return }
    do {
      let updates = try session.weightUpdates()
      unscored.insert(round)
      effects.steps.append(.act(.evaluate(run: id, version: round, updates)))
    } catch {
      effects.actions.append(.log(.error, "version \(round) cannot be evaluated: \(error)"))
    }
  }

  /// A version was evaluated, or could not be.
  mutating func scored(
    _ version: UInt32,
    _ result: Result<VersionScore, PreparationFailure>,
    _ effects: inout Effects
  ) {
    guard unscored.remove(version) != nil, !isOver else { return }
    switch result {
    case .success(let score):
      scores[version] = score
      effects.records.append(
        .evaluation(run: id, round: version, loss: score.loss, accuracy: score.accuracy)
      )
      if version == 0 {
        effects.actions.append(
          .log(.info, "held-out loss of the base model \(decimal(score.loss, 4))")
        )
      }
    case .failure(let failure):
      effects.actions.append(.log(.warning, "version \(version) was not evaluated: \(failure)"))
    }
    let due = reports.filter { $0.round == version }
    reports.removeAll { $0.round == version }
    for report in due { complete(report, &effects) }
    finishIfDone(&effects)
  }

  /// Tells about a round, once its score is there.
  mutating func publish(_ report: RoundReport, _ effects: inout Effects) {
    if unscored.contains(report.round) {
      reports.append(report)
    } else {
      complete(report, &effects)
    }
  }

  /// Ends the run when nothing is outstanding.
  mutating func finishIfDone(_ effects: inout Effects) {
    guard phase == .scoring, unscored.isEmpty else { return }
    end(.completed, "all rounds done", &effects)
  }

  private func complete(_ report: RoundReport, _ effects: inout Effects) {
    var report = report
    report.after = scores[report.round]
    // The latest score there is, where not every version is evaluated.
    report.before = scores.filter { $0.key < report.round }.max { $0.key < $1.key }?.value
    effects.steps.append(.act(.report(report)))
  }
}
