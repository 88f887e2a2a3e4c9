// Apache-2.0.
import Codecs
import FederatedCore
import RunLedger

/// A ledger that does not lead to what it says.
public enum RecoveryError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The records of a run are not in an order that this program writes.
  case records(run: UInt32, String)
  /// The fold of a round comes to another version than the one recorded.
  case digest(run: UInt32, round: UInt32)

  /// What was wrong, where, and what to do.
  public var description: String {
    switch self {
    case .records(let run, let fault):
      "ledger: run \(run): \(fault); restore a backup of the file"
    case .digest(let run, let round):
      "ledger: run \(run): round \(round + 1) does not lead to the version recorded; "
        + "use the program that wrote it"
    }
  }
}

extension RunMachine {
  /// The run as its records leave it: every fold since the last checkpoint is done again and checked
  /// against its digest.
  ///
  /// - Throws: `RecoveryError`, or what the algorithm refuses.
  init(id: UInt32, records: [LedgerRecord], retention: Retention? = nil) throws {
    let versions = records.compactMap {
      if case .checkpoint(_, let version, _, _) = $0 { version } else { nil }
    }
    try self.init(id: id, from: versions.max(), retention: retention) { visit in
      for record in records { try visit(record) }
    }
  }

  /// The run as the records that `replay` hands out leave it.
  ///
  /// - Parameter version: of the last checkpoint among the records.
  init(
    id: UInt32,
    from version: UInt32?,
    retention: Retention?,
    _ replay: ((LedgerRecord) throws -> Void) throws -> Void
  ) throws {
    var machine: RunMachine?
    try replay { record in
      if machine == nil {
        machine = try Self.begun(id, by: record, retention)
        machine?.resumesAt = version ?? 0
      } else {
        try machine?.replay(record)
      }
    }
    guard let machine else { throw RecoveryError.records(run: id, "has no records") }
    guard machine.round >= machine.resumesAt else {
      throw RecoveryError.records(run: id, "lacks what led to its checkpoint")
    }
    self = machine
  }

  private static func begun(
    _ id: UInt32,
    by record: LedgerRecord,
    _ retention: Retention?
  ) throws -> RunMachine {
    guard case .run(_, _, let bytes) = record else {
      throw RecoveryError.records(run: id, "does not begin with its configuration")
    }
    do {
      let configuration = try RunConfiguration(decoding: bytes)
      return try RunMachine(
        id: id,
        configuration: configuration,
        retention: retention,
        isNew: false
      )
    } catch let error as CodecError {
      throw RecoveryError.records(run: id, "its configuration is refused: \(error)")
    }
  }

  private mutating func replay(_ record: LedgerRecord) throws {
    switch record {
    case .run(_, _, let bytes):
      // A commit that the disk reported as failed may be there all the same, beside its repetition.
      guard bytes == configuration.encoded else {
        throw RecoveryError.records(run: id, "has two configurations")
      }
    case .layout(_, let blocks):
      do {
        try session.begin(ParameterBlock.decode(blocks))
      } catch {
        throw RecoveryError.records(run: id, "the tensors of its model are refused: \(error)")
      }
    case .base(_, let digest):
      base = digest
      digests = [session.digest(base: digest)]
    case .client(_, let ordinal, let name, let examples):
      if ordinal < clients.count, clients[Int(ordinal)] == Client(name: name, examples: examples) {
        return
      }
      guard ordinal == UInt32(clients.count) else {
        throw RecoveryError.records(run: id, "client \(ordinal) is out of order")
      }
      clients.append(Client(name: name, examples: examples))
      ordinals[name] = ordinal
    case .task(_, let round, let client, let steps, let batch):
      guard client < UInt32(clients.count) else {
        throw RecoveryError.records(run: id, "a task of client \(client), which there is not")
      }
      tasks[client] = OpenTask(
        key: TaskKey(client: client, base: round),
        steps: Int(steps),
        batchSize: batch
      )
    case .contribution(_, let round, let client, let loss, let payload):
      // One that became durable after its round had closed does not count.
      let key = TaskKey(client: client, base: round)
      guard let task = tasks[client], task.key == key else { return }
      results[key] = Held(steps: task.steps, payload: payload, loss: loss)
      note([payload.count])
      arrivals.append(key)
    case .aggregation(_, let round, let weights, let digest): try refold(round, weights, digest)
    case .checkpoint(_, let version, let pending, let state):
      if version == resumesAt { try resume(version, pending, state) }
    case .evaluation(_, let version, let loss, let accuracy):
      scores[version] = VersionScore(loss: loss, accuracy: accuracy)
    case .state(_, let state, let reason):
      if state != .running { phase = .ended(state, reason: reason) }
    }
  }

  private mutating func refold(
    _ round: UInt32,
    _ weights: [LedgerRecord.ClientWeight],
    _ digest: Digest
  ) throws {
    let chosen = weights.map { TaskKey(client: $0.client, base: $0.base) }
    guard round == self.round, let base, chosen.allSatisfy({ results[$0] != nil }) else {
      throw RecoveryError.records(run: id, "round \(round + 1) lacks what it was made of")
    }
    if round < resumesAt {
      // Its payloads may be gone: the checkpoint to come says what was made of them.
      turn(to: digest, counted: Set(chosen))
      return
    }
    let contributions = contributions(chosen, weights.map(\.weight))
    try session.fold(contributions)
    guard session.digest(base: base) == digest else {
      throw RecoveryError.digest(run: id, round: round)
    }
    advance(to: digest, contributions)
  }
}
