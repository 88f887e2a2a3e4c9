// Apache-2.0.
public import Codecs
public import FederatedCore
public import Telemetry
public import WireProtocol

/// What a participant is told.
public enum ParticipantEvent: Sendable {
  /// The connection to the server is up.
  case connected
  /// The server sent a message.
  case received(Message)
  /// The connection is gone.
  case closed
  /// Model and data of a run are loaded, or are not for the reason given.
  case prepared(run: UInt32, Result<Preparation, ParticipationFailure>)
  /// A task is done, or could not be for the reason given.
  case trained(run: UInt32, round: UInt32, Result<LocalResult, ParticipationFailure>)
}

/// What a client holds of a run once it has loaded it.
public struct Preparation: Sendable, Equatable {
  /// `LoadedModel.baseDigest`.
  public let base: Digest
  /// Examples the client trains on.
  public let examples: Int
  /// The trainable tensors in canonical order.
  public let blocks: [ParameterBlock]
  /// What the device trains of the run, where devices train different parts.
  public let device: DeviceProfile?

  /// Trainable parameters.
  public var parameters: Int { blocks.last?.range.upperBound ?? 0 }

  /// What was loaded.
  public init(
    base: Digest,
    examples: Int,
    blocks: [ParameterBlock],
    device: DeviceProfile? = nil
  ) {
    self.device = device
    self.base = base
    self.examples = examples
    self.blocks = blocks
  }
}

/// Why a client cannot do what it was asked, in words that travel to the server.
public struct ParticipationFailure: Error, Equatable, Sendable, CustomStringConvertible {
  /// What was wrong, where, and what to do.
  public let description: String

  /// A failure.
  public init(_ description: String) { self.description = description }
}

/// A task with everything it starts from.
public struct TrainingOrder: Sendable {
  /// The run.
  public let run: UInt32
  /// The task.
  public let task: LocalTask
  /// Session at the version the task starts from: it says the weights and does the steps.
  public let session: any AlgorithmSession
  /// What the algorithm kept when the client trained last.
  public let memory: [UInt8]
}

/// What a participant wants done.
public enum ParticipantAction: Sendable {
  /// Send a message.
  case send(Message)
  /// Load model and data of a run, drop those of another, and answer with `prepared`.
  case prepare(run: UInt32, RunConfiguration)
  /// Do the local steps of a task, in place of one still at work, and answer with `trained`.
  case train(TrainingOrder)
  /// Keep this for the next start of the program, in place of what was kept before; made when it is asked
  /// for, since a great state is written seldom.
  case keep(@Sendable () -> KeptVersion)
  /// Write to the log.
  case log(LogLevel, String)
  /// A run is over: model, data and what was kept can be dropped.
  case ended(RunEnd)
}
