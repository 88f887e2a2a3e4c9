// Apache-2.0.
import FederatedCore
public import RunLedger

/// How long the payloads of a run's rounds are kept.
public struct Retention: Sendable, Equatable {
  /// Rounds from one checkpoint to the next; what led to a checkpoint is needed no more.
  public let rounds: Int
  /// Bytes that make a payload great; a run without great payloads needs no checkpoints.
  public let greatPayload: Int

  /// A checkpoint every so many rounds.
  public init(rounds: Int, greatPayload: Int = Ledger.greatPayload) {
    self.rounds = max(1, rounds)
    self.greatPayload = greatPayload
  }
}

/// Checkpoints: all that a server knew at a version, so that it can do without what led there.
extension RunMachine {
  /// Writes a checkpoint of the current version where one is due; the version's own record comes before.
  mutating func checkpointIfDue(_ effects: inout Effects) {
    guard let retention else { return }
    let isLast = round == UInt32(configuration.rounds)
    if isLast || round - checkpointed >= UInt32(clamping: retention.rounds) {
      checkpoint(isLast: isLast, &effects)
    }
  }

  /// Writes a checkpoint of the current version unless there is one, or nothing great to do without.
  mutating func checkpoint(isLast: Bool, _ effects: inout Effects) {
    guard retention != nil, hasGreatPayloads, round > checkpointed else { return }
    // What is on its way to the disk has its row before this one.
    let waiting = results.merging(inFlight) { $1 }
    let pending = isLast ? [] : waiting.keys.sorted { ($0.client, $0.base) < ($1.client, $1.base) }
    effects.records.append(
      .checkpoint(
        run: id,
        round: round,
        pending: pending.map { .init(client: $0.client, base: $0.base) },
        state: session.checkpoint()
      )
    )
    begin(from: round, waiting.values.map(\.payload.count))
  }

  /// Goes on from a checkpoint: up to here `replay` has only kept account of who did what.
  mutating func resume(
    _ version: UInt32,
    _ pending: [LedgerRecord.TaskName],
    _ state: [UInt8]
  ) throws {
    let pending = Set(pending.map { TaskKey(client: $0.client, base: $0.base) })
    guard version == round, let base, let digest = digests.last,
      pending.allSatisfy({ results[$0] != nil })
    else {
      throw RecoveryError.records(run: id, "the checkpoint of round \(version) is out of order")
    }
    try session.resume(from: state)
    guard session.digest(base: base) == digest else {
      throw RecoveryError.digest(run: id, round: version - 1)
    }
    results = results.filter { pending.contains($0.key) }
    arrivals.removeAll { !pending.contains($0) }
    history = RoundHistory(from: version)
    begin(from: version, results.values.map(\.payload.count))
  }

  private mutating func begin(from version: UInt32, _ counts: [Int]) {
    checkpointed = version
    hasGreatPayloads = false
    note(counts)
  }

  /// Notes how great payloads are that came.
  mutating func note(_ counts: [Int]) {
    guard let retention, !hasGreatPayloads else { return }
    hasGreatPayloads = counts.contains { $0 >= retention.greatPayload }
  }
}
