// Apache-2.0.

/// How weights follow their gradients.
public enum Optimizer: Sendable, Hashable {
  /// w ← w − rate · (g + decay·w).
  case sgd(decay: Float = 0)
  /// v ← momentum·v + g + decay·w; w ← w − rate·v (Polyak, 1964).
  case momentum(Float = 0.9, decay: Float = 0)
  /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
  case adamW(beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8, decay: Float = 0.01)
  /// SGD whose step size tunes itself (`DeltaStep`); the size it is given is that of the first step.
  case delta(gamma: Float = 2, delta: Float = 0.1)

  /// Tensors of the size of the weights that an update keeps from step to step.
  public var stateCount: Int {
    switch self {
    case .sgd, .delta: 0
    case .momentum: 1
    case .adamW: 2
    }
  }

  /// What changes from step to step, as the input `schedule` of a training graph.
  ///
  /// - Parameters:
  ///   - rate: step size.
  ///   - step: number of the step, 1 for the first.
  ///   - scale: of the gradients.
  public func schedule(rate: Float, step: Int, scale: Float = 1) -> [Float] {
    if case .delta = self { return [1, rate, 1, scale] }
    guard case .adamW(let beta1, let beta2, _, _) = self else { return [rate, 1, 1, scale] }
    let first = 1 - Self.power(Double(beta1), step)
    let second = 1 - Self.power(Double(beta2), step)
    return [rate, Float(1 / first), Float(1 / second.squareRoot()), scale]
  }

  /// Elements of the input `schedule`.
  static let scheduleCount = 4

  /// By squaring, so that its bits need no library of mathematics.
  private static func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, square, rest) = (1.0, base, max(0, exponent))
    while rest > 0 {
      if rest & 1 == 1 { result *= square }
      square *= square
      rest >>= 1
    }
    return result
  }
}

/// Bound on the norm of gradients.
public enum Clipping: Sendable, Hashable {
  /// None.
  case none
  /// All gradients together are scaled so that their norm is at most this (Pascanu et al., 2013).
  case global(Float)
  /// The gradient of each tensor is.
  case perTensor(Float)
}
