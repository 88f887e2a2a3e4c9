// Apache-2.0.
public import SharedRandomness

/// Names the random choices of one local step: batches are drawn from it, never from a clock.
public struct StepAddress: Sendable, Hashable {
  /// Round of the run.
  public let round: UInt32
  /// Ordinal of the client in the run.
  public let client: UInt32
  /// Local step within the round.
  public let step: UInt32

  /// A step of a client in a round.
  public init(round: UInt32, client: UInt32, step: UInt32) {
    self.round = round
    self.client = client
    self.step = step
  }
}

/// What an algorithm may ask of the engine.
///
/// Algorithms never import the engine.
public protocol LocalTrainer {
  /// Trainable scalars, d.
  var parameterCount: Int { get }
  /// The trainable tensors in canonical order; their ranges cover 0..<d.
  var blocks: [ParameterBlock] { get }
  /// Examples this client trains on.
  var exampleCount: Int { get }
  /// `LocalResult.memory` of this client's task before; empty at first, and where it was lost.
  var memory: [UInt8] { get }

  /// Brings the weights to a model version: each update is applied to the result of the one before.
  mutating func load(_ updates: [WeightUpdate]) throws

  /// Mean losses at w + ε·z and w − ε·z on the batch that `address` draws.
  mutating func probe(
    _ direction: Direction,
    epsilon: Float,
    at address: StepAddress
  ) throws -> (plus: Float, minus: Float)

  /// w ← w + step·z.
  mutating func move(along direction: Direction, by step: Float) throws

  /// One step down the gradient on the batch that `address` draws.
  ///
  /// - Returns: the mean loss before the step.
  mutating func descend(
    _ rule: LocalRule,
    rate: Float,
    at address: StepAddress
  ) throws -> Float

  /// amounts[p] ← w[p] − w_loaded[p]; `amounts` has `parameterCount` elements afterwards.
  mutating func difference(into amounts: inout [Float]) throws
}
