// Apache-2.0.

/// How a client's weights follow their gradients; its state begins anew with every `load`.
public struct LocalRule: Sendable, Hashable {
  /// The rule itself.
  public enum Kind: Sendable, Hashable {
    /// w ← w − rate · g.
    case sgd
    /// v ← momentum · v + g; w ← w − rate · v.
    case momentum(Float)
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
    case adamW(beta1: Float, beta2: Float, decay: Float, epsilon: Float)
    /// Δ-SGD: the step size tunes itself, the one given is the first (Kim et al., 2024).
    case deltaSGD(gamma: Float, delta: Float)
  }

  /// The rule itself.
  public var kind: Kind
  /// FedProx: μ of the term (μ/2)‖w − w_loaded‖² of the loss.
  public var proximal: Float
  /// Norm that all gradients together are scaled down to; nil for none.
  public var clipNorm: Float?

  /// A rule.
  public init(_ kind: Kind, proximal: Float = 0, clipNorm: Float? = nil) {
    self.kind = kind
    self.proximal = proximal
    self.clipNorm = clipNorm
  }
}
