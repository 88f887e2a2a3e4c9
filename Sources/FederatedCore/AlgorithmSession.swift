// Apache-2.0.
public import Codecs

/// What the server asks of one client.
public struct LocalTask: Sendable, Equatable {
  /// Round of the run; also the model version the task starts from.
  public let round: UInt32
  /// Ordinal of the client in the run, part of the address of all its random draws.
  public let client: UInt32
  /// Local steps, Q.
  public let steps: Int
  /// Examples of a batch, chosen for the device; 0 where it is that of the run.
  public let batchSize: Int

  /// A task.
  public init(round: UInt32, client: UInt32, steps: Int, batchSize: Int = 0) {
    self.round = round
    self.client = client
    self.steps = steps
    self.batchSize = batchSize
  }
}

/// What a client made of a task.
public struct LocalResult: Sendable, Equatable {
  /// The contribution as it travels: for the seed methods one byte a step.
  public let payload: [UInt8]
  /// Mean of (L₊ + L₋) / 2 over the steps that counted, NaN where none did.
  public let meanLoss: Float
  /// Steps skipped because a loss was not finite.
  public let skippedSteps: Int
  /// Steps whose scalar was clipped.
  public let clippedSteps: Int
  /// What the algorithm wants kept at the client for its next task, such as what a codec left out.
  ///
  /// It never travels; a client that lost it goes on with nothing.
  public let memory: [UInt8]

  /// A result.
  public init(
    payload: [UInt8],
    meanLoss: Float,
    skippedSteps: Int = 0,
    clippedSteps: Int = 0,
    memory: [UInt8] = []
  ) {
    self.memory = memory
    self.payload = payload
    self.meanLoss = meanLoss
    self.skippedSteps = skippedSteps
    self.clippedSteps = clippedSteps
  }
}

/// One client's share of an aggregation.
///
/// Server and clients fold the same contributions into the
/// same integers, so a round travels as its contributions.
public struct Contribution: Sendable, Equatable {
  /// The task it answers.
  public let task: LocalTask
  /// Integer weight; the weights of one aggregation sum to `aggregationWeight`.
  public let weight: UInt32
  /// `LocalResult.payload`.
  public let payload: [UInt8]

  /// Sum of the weights of one aggregation.
  public static let aggregationWeight: UInt32 = 1 << 16

  /// A weighted payload.
  public init(task: LocalTask, weight: UInt32, payload: [UInt8]) {
    self.task = task
    self.weight = weight
    self.payload = payload
  }
}

/// What decides how much of a model a device trains, where devices train different parts of it.
public struct DeviceNeeds: Sendable, Hashable {
  /// How weights follow gradients, which decides what a step keeps.
  public let rule: LocalRule
  /// The lowest rank of adapters that is worth a contribution.
  public let minimumRank: Int

  /// Needs.
  public init(rule: LocalRule, minimumRank: Int) {
    self.rule = rule
    self.minimumRank = minimumRank
  }
}

/// An algorithm within one run, with the integers of the current model version.
///
/// It is the same value type on the server, on every client and in the simulator. `AlgorithmCatalog` makes it from a
/// `RunConfiguration`; a conformer is the type-erased pair of a `FederatedAlgorithm` and its state.
public protocol AlgorithmSession: Sendable {
  /// Whether `fold` takes in contributions to earlier versions than the current one.
  var acceptsStaleTasks: Bool { get }

  /// Whether `fold` makes tasks of unequal length move the model equally, so that weights must not.
  var normalizesSteps: Bool { get }

  /// What a device needs to know to train as much as it has room for; nil where all train alike.
  var deviceNeeds: DeviceNeeds? { get }

  /// Told which tensors train, before anything is trained, folded or restored; again is harmless.
  mutating func begin(_ blocks: [ParameterBlock]) throws

  /// The client's half: local steps from the current version (already loaded into `trainer`).
  func train(_ task: LocalTask, on trainer: inout any LocalTrainer) throws -> LocalResult

  /// Refuses a payload that `train` could not have made for this task.
  func check(_ payload: [UInt8], for task: LocalTask) throws

  /// The server's half, pure integers: the version after an aggregation. Order does not matter.
  mutating func fold(_ contributions: [Contribution]) throws

  /// Bytes that bring a session at the version before the last `fold` to the one after it; nil where
  /// the contributions themselves do.
  func advance() -> [UInt8]?

  /// Goes to the next version by the bytes of `advance`; refuses those that no fold made.
  mutating func advance(by bytes: [UInt8]) throws

  /// What the version adds to the base weights, oldest epoch first.
  func weightUpdates() throws -> [WeightUpdate]

  /// The same for a device whose trainable tensors are `blocks`: all of the run's, or a part of each.
  func weightUpdates(for blocks: [ParameterBlock]) throws -> [WeightUpdate]

  /// The state as bytes, the same on every machine.
  func snapshot() -> [UInt8]

  /// Takes over a snapshot.
  mutating func restore(_ snapshot: [UInt8]) throws

  /// All that the server must know to fold on, what never travels included: the snapshot, and say the
  /// moments of an optimiser.
  func checkpoint() -> [UInt8]

  /// Takes over what `checkpoint` wrote.
  mutating func resume(from checkpoint: [UInt8]) throws

  /// SHA-256(base digest ‖ bank ‖ accumulators …): names the version.
  func digest(base: Digest) -> Digest
}

extension AlgorithmSession {
  /// Most algorithms leave it to the weights.
  public var normalizesSteps: Bool { false }

  /// Most algorithms have everybody train alike.
  public var deviceNeeds: DeviceNeeds? { nil }

  /// Everybody has all tensors.
  public func weightUpdates(for _: [ParameterBlock]) throws -> [WeightUpdate] {
    try weightUpdates()
  }

  /// Most algorithms do not care.
  public mutating func begin(_: [ParameterBlock]) {}

  /// Most servers know no more than everybody.
  public func checkpoint() -> [UInt8] { snapshot() }

  /// Most servers know no more than everybody.
  public mutating func resume(from checkpoint: [UInt8]) throws { try restore(checkpoint) }

  /// Contributions travel.
  public func advance() -> [UInt8]? { nil }

  /// Contributions travel.
  public mutating func advance(by _: [UInt8]) throws {
    throw FederationError.advance("versions of this algorithm travel as their contributions")
  }
}
