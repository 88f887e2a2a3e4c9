// Apache-2.0.
public import Codecs

/// The state a run can be in.
public enum RunState: String, Sendable, CaseIterable {
  /// Accepted; waits for clients or works.
  case running
  /// All rounds done.
  case completed
  /// Ended by an error.
  case failed
  /// Ended by a person.
  case stopped
}

/// One event of a run.
///
/// The ledger only ever appends them.
public enum LedgerRecord: Sendable, Equatable {
  /// A run was accepted: its canonical configuration.
  case run(id: UInt32, name: String, configuration: [UInt8])
  /// The model of a run was loaded: its trainable tensors, as `ParameterBlock.encode` writes them.
  case layout(run: UInt32, blocks: [UInt8])
  /// The model of a run was loaded: the digest of its base weights.
  case base(run: UInt32, digest: Digest)
  /// A client took part for the first time and has its ordinal for good.
  case client(run: UInt32, ordinal: UInt32, name: String, examples: UInt64)
  /// A task was handed out; `batch` is 0 where its batches are those of the run.
  case task(run: UInt32, round: UInt32, client: UInt32, steps: UInt32, batch: UInt32 = 0)
  /// A contribution arrived; the same (run, round, client) again is ignored.
  case contribution(run: UInt32, round: UInt32, client: UInt32, loss: Float, payload: [UInt8])
  /// A round was closed: who counted with which weight, and the version that came out.
  case aggregation(run: UInt32, round: UInt32, weights: [ClientWeight], digest: Digest)
  /// All that the server knew at version `round`: what led there is needed no more, but for the payloads
  /// of `pending`, which wait for a later aggregation.
  case checkpoint(run: UInt32, round: UInt32, pending: [TaskName], state: [UInt8])
  /// A version was evaluated.
  case evaluation(run: UInt32, round: UInt32, loss: Double, accuracy: Double?)
  /// The run changed state.
  case state(run: UInt32, state: RunState, reason: String)

  /// The integer weight of a client in an aggregation.
  public struct ClientWeight: Sendable, Equatable {
    /// The client's ordinal in the run.
    public let client: UInt32
    /// The version its task started from.
    public let base: UInt32
    /// Its weight.
    public let weight: UInt32

    /// `weight` of the task of `client` from version `base`.
    public init(client: UInt32, base: UInt32, weight: UInt32) {
      self.client = client
      self.base = base
      self.weight = weight
    }
  }

  /// Names a task of a run, and its contribution.
  public struct TaskName: Sendable, Hashable {
    /// The client's ordinal in the run.
    public let client: UInt32
    /// The version the task started from.
    public let base: UInt32

    /// The task of `client` from version `base`.
    public init(client: UInt32, base: UInt32) {
      self.client = client
      self.base = base
    }
  }

  /// What may be great about the record, and lies in a file of its own then.
  var block: [UInt8]? {
    switch self {
    case .contribution(_, _, _, _, let payload): payload
    case .checkpoint(_, _, _, let state): state
    default: nil
    }
  }

  /// The record with another block.
  func with(block: [UInt8]) -> LedgerRecord {
    switch self {
    case .contribution(let run, let round, let client, let loss, _):
      .contribution(run: run, round: round, client: client, loss: loss, payload: block)
    case .checkpoint(let run, let round, let pending, _):
      .checkpoint(run: run, round: round, pending: pending, state: block)
    default: self
    }
  }
}
