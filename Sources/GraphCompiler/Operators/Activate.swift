// Apache-2.0.
import CKernels
import Glibc
public import Tensors

/// y = activation(x), where a gradient needs x; elsewhere `Linear` applies it to its result.
public struct Activate: DifferentiableOperator {
  /// Name in printed plans.
  public static let name = "activate"

  let activation: Activation

  /// y as x.
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    [inputs[0]]
  }

  /// An element is read before it is written.
  public var overwritableInputs: [Int] { [0] }

  /// Ten an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    10 * inputs[0].shape.elementCount
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    [ReferenceTensor(inputs[0].shape, inputs[0].data.map(activation.reference))]
  }

  /// Tasks are parts.
  public func run(_ call: KernelCall) {
    // SAFETY: two values of one shape; parts are disjoint.
    let (x, y) = unsafe (call.floats(0), call.result())
    let kernels = unsafe call.kernels
    call.split(call.outputTypes[0].shape.elementCount, grain: 4096) { part, _ in
      let at = part.lowerBound
      unsafe kernels.activate(activation.rawValue, x + at, y + at, Int64(part.count))
    }
  }

  /// dx = dy ⊙ activation′(x).
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient() else { return }
    let x = backward.node.inputs[0]
    try backward.add(
      input: 0,
      backward.apply(ActivationGradient(activation: activation), [x, dy])[0]
    )
  }
}

/// dx = dy ⊙ activation′(x).
public struct ActivationGradient: Operator {
  /// Name in printed plans.
  public static let name = "activation_gradient"

  let activation: Activation

  /// dx as x and dy.
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    try require(inputs[0] == inputs[1], "two values of one shape, not \(inputs)")
    return [inputs[1]]
  }

  /// An element is read before it is written.
  public var overwritableInputs: [Int] { [1, 0] }

  /// Fifteen an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    15 * inputs[0].shape.elementCount
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let products = zip(inputs[0].data, inputs[1].data).map { activation.derivative($0) * $1 }
    return [ReferenceTensor(inputs[0].shape, products)]
  }

  /// Tasks are parts.
  public func run(_ call: KernelCall) {
    // SAFETY: three values of one shape; parts are disjoint.
    let (x, dy, dx) = unsafe (call.floats(0), call.floats(1), call.result())
    let kernels = unsafe call.kernels
    call.split(call.outputTypes[0].shape.elementCount, grain: 4096) { part, _ in
      let at = part.lowerBound
      unsafe kernels.activation_gradient(
        activation.rawValue,
        0,
        x + at,
        dy + at,
        dx + at,
        Int64(part.count)
      )
    }
  }
}

extension Activation {
  /// The derivative in binary64; 0 at the corners of `relu` and `relu6`.
  public func derivative(_ x: Double) -> Double {
    switch self {
    case .identity: return 1
    case .gelu:
      let density = exp(-x * x / 2) / (2 * Double.pi).squareRoot()
      return 0.5 * (1 + erf(x / 2.0.squareRoot())) + x * density
    case .geluTanh:
      let scale = (2 / Double.pi).squareRoot()
      let t = Glibc.tanh(scale * (x + 0.044715 * x * x * x))
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * scale * (1 + 3 * 0.044715 * x * x)
    case .silu:
      let sigmoid = 1 / (1 + exp(-x))
      return sigmoid * (1 + x * (1 - sigmoid))
    case .tanh:
      let t = Glibc.tanh(x)
      return 1 - t * t
    case .relu: return x > 0 ? 1 : 0
    case .relu6: return x > 0 && x < 6 ? 1 : 0
    }
  }
}
