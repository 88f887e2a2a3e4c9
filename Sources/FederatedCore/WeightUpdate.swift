// Apache-2.0.
public import SharedRandomness

/// One of the things a model version adds to its base, each applied to the result of the one before.
///
/// w[p] = fl32(before[p] + 2^−scaleExponent · I[p]), formed in binary64 and rounded once to binary32
/// (docs/design.md, section 2). The kinds differ in how the integers I are written.
public enum WeightUpdate: Sendable, Equatable {
  /// I = Σ_j amount_j z_j.
  case directions(DirectionUpdate)
  /// I itself.
  case integers(IntegerUpdate)
}

/// Integers as a sum of directions: I[p] = Σ_j amount_j z_j[p], in a range of parameters or in all.
public struct DirectionUpdate: Sendable, Equatable {
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
  /// Parameters it moves, nil for all; the others stay as they are.
  public let elements: Range<Int>?
  /// Terms in ascending order of direction; Σ|amount| < 2^31, checked by whoever makes the update.
  public let terms: [Term]

  /// An update.
  public init(
    bank: DirectionBank,
    scaleExponent: Int,
    elements: Range<Int>? = nil,
    terms: [Term]
  ) {
    self.bank = bank
    self.scaleExponent = scaleExponent
    self.elements = elements
    self.terms = terms
  }
}

/// Integers one by one.
public struct IntegerUpdate: Sendable, Equatable {
  /// Units are 2^−scaleExponent.
  public let scaleExponent: Int
  /// I[p] for p in 0..<d, in canonical order.
  public let amounts: [Int32]

  /// An update.
  public init(scaleExponent: Int, amounts: [Int32]) {
    self.scaleExponent = scaleExponent
    self.amounts = amounts
  }
}
