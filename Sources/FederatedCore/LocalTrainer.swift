// Apache-2.0.
public import SharedRandomness

/// What a model version adds to its base: w[p] = base[p] + 2^−scaleExponent · Σ_j amount_j z_j[p],
/// formed in binary64 and rounded once to binary32 (docs/design.md, section 2).
public struct WeightUpdate: Sendable, Equatable {
  /// One accumulator that is not zero.
  public struct Term: Sendable, Equatable {
    /// Index of the direction in the bank.
    public let direction: UInt32
    /// Its integer amount, in units of 2^−scaleExponent.
    public let amount: Int32

    /// `amount` of `direction`.
    public init(direction: UInt32, amount: Int32) {
      self.direction = direction
      self.amount = amount
    }
  }

  /// The directions.
  public let bank: DirectionBank
  /// Units are 2^−scaleExponent.
  public let scaleExponent: Int
  /// Terms in ascending order of direction; Σ|amount| < 2^31, checked by whoever makes the update.
  public let terms: [Term]

  /// An update.
  public init(bank: DirectionBank, scaleExponent: Int, terms: [Term]) {
    self.bank = bank
    self.scaleExponent = scaleExponent
    self.terms = terms
  }
}

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
  /// Examples this client trains on.
  var exampleCount: Int { get }

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
}
