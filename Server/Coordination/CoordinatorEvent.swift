// Apache-2.0.
public import Codecs
public import FederatedCore
public import RunLedger
public import Telemetry
public import WireProtocol

/// Names one connection for as long as the server runs.
public typealias PeerNumber = UInt64

/// What the coordinator is told.
public enum CoordinatorEvent: Sendable {
  /// A peer with a certificate for `name` is connected.
  case connected(PeerNumber, name: String)
  /// A peer sent a message.
  case received(PeerNumber, Message)
  /// A peer is going to send a result in chunks.
  case announced(PeerNumber, run: UInt32, round: UInt32)
  /// A connection is gone.
  case closed(PeerNumber)
  /// The records of a commit are durable.
  case committed(UInt64)
  /// A deadline of `nextDeadline` may have passed.
  case timer
  /// A person wants a run; `ticket` finds the answer.
  case submit(ticket: UInt64, RunConfiguration)
  /// A person wants a run to end.
  case stop(ticket: UInt64, run: UInt32)
  /// The model of a run is loaded, or is not for the reason given.
  case prepared(run: UInt32, Result<PreparedModel, PreparationFailure>)
  /// A version was evaluated, or was not for the reason given.
  case evaluated(run: UInt32, version: UInt32, Result<VersionScore, PreparationFailure>)
}

/// What the coordinator needs to know of a model that is loaded.
public struct PreparedModel: Sendable, Equatable {
  /// Names the base weights.
  public let base: Digest
  /// The trainable tensors in canonical order.
  public let blocks: [ParameterBlock]

  /// A model.
  public init(base: Digest, blocks: [ParameterBlock]) {
    self.base = base
    self.blocks = blocks
  }
}

/// Why a model could not be loaded or evaluated, in the words of whoever tried.
public struct PreparationFailure: Error, Equatable, Sendable, CustomStringConvertible {
  /// What was wrong, where, and what to do.
  public let description: String

  /// A failure.
  public init(_ description: String) { self.description = description }
}

/// What held-out data say about a version.
public struct VersionScore: Sendable, Equatable {
  /// Mean loss.
  public let loss: Double
  /// Share of right answers, where the task has answers.
  public let accuracy: Double?

  /// A score.
  public init(loss: Double, accuracy: Double?) {
    self.loss = loss
    self.accuracy = accuracy
  }
}

/// What the coordinator wants done.
public enum CoordinatorAction: Sendable {
  /// Send a message.
  case send(PeerNumber, Message)
  /// Send one message to many.
  case broadcast([PeerNumber], Message)
  /// Close a connection, after what was sent.
  case close(PeerNumber)
  /// Close a connection, after what was sent; the client shall come back after so long.
  case dismiss(PeerNumber, after: Duration)
  /// Make records durable, in this order, and answer with `committed`.
  case commit(UInt64, [LedgerRecord])
  /// Load the model of a run and answer with `prepared`.
  case prepare(run: UInt32, RunConfiguration)
  /// Evaluate a version and answer with `evaluated`.
  case evaluate(run: UInt32, version: UInt32, [WeightUpdate])
  /// Answer a person: the run, or what was wrong.
  case answer(ticket: UInt64, Result<UInt32, PreparationFailure>)
  /// Write to the log.
  case log(LogLevel, String)
  /// A round is folded: what these clients have sent and received up to now is what it cost. Its
  /// `report` follows once a held-out score that belongs to it is there.
  case folded(run: UInt32, round: UInt32, contributors: [String])
  /// Tell who watches about a round.
  case report(RoundReport)
  /// A run is over; the record of it is durable.
  case finished(run: UInt32, RunState, reason: String)
}
