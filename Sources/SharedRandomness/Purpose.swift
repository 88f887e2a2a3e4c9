// Apache-2.0.

/// What a stream of random numbers is for: the one registry, so that no two uses share a number.
///
/// Counter of Philox4x32-10 (docs/directions.md):
///
///     word 0   block: element >> 7 of a direction, or position of a stream
///     word 1   epoch of the bank, or client
///     word 2   direction index, or step
///     word 3   purpose << 24 | round
public enum Purpose: UInt8, Sendable, CaseIterable {
  /// Signs of an independent direction.
  case independentSigns = 1
  /// Column signs D of a Hadamard bank.
  case hadamardColumns = 2
  /// Row signs S of a Hadamard bank.
  case hadamardRows = 3
  /// Which direction a client uses at a step.
  case directionDraw = 16
  /// Stochastic rounding of a client's scalars.
  case rounding = 17
  /// Which examples form a batch.
  case batch = 18
  /// Which clients a round samples.
  case clientSelection = 19
  /// Initial weights of a new head.
  case headInitialization = 20
  /// How simulated clients share out data.
  case partition = 21
  /// Luck of simulated devices.
  case device = 22
  /// Which token a generated text goes on with.
  case sampling = 23
  /// Which schemes a search under a budget tries.
  case schemeSearch = 24
  /// Rows of adapters that have learned nothing.
  case freshAdapters = 25
}
