// Apache-2.0.

/// How the ±1 directions of a bank are made (docs/design.md, section 3).
public enum DirectionFamily: Sendable, Equatable {
  /// z_j[p] is a Philox bit of (j, p).
  case independent
  /// Rows of a randomised Hadamard matrix of 2^log2Count rows.
  case hadamard(log2Count: Int)
}

/// A set of shared random directions over d parameters, a pure function of its three fields.
public struct DirectionBank: Sendable, Equatable {
  /// How the directions are made.
  public let family: DirectionFamily
  /// Philox key of the run.
  public let key: UInt64
  /// Separates the banks of one run: the epoch of the model version it belongs to.
  public let epoch: UInt32

  /// A bank.
  public init(family: DirectionFamily, key: UInt64, epoch: UInt32) {
    self.family = family
    self.key = key
    self.epoch = epoch
  }
}

/// One direction of a bank.
public struct Direction: Sendable, Equatable {
  /// The bank.
  public let bank: DirectionBank
  /// Its row, below the bank's count where the bank has one.
  public let index: UInt32

  /// Direction `index` of `bank`.
  public init(bank: DirectionBank, index: UInt32) {
    self.bank = bank
    self.index = index
  }
}
