// Apache-2.0.
import CKernels
import Glibc
public import Tensors

/// Elementwise functions that linear layers apply to their result.
public enum Activation: Int32, Sendable, Hashable {
  /// x.
  case identity = 0
  /// x·Φ(x), by the error function.
  case gelu = 1
  /// The approximation of GELU by tanh.
  case geluTanh = 2
  /// x·σ(x).
  case silu = 3
  /// tanh x.
  case tanh = 4
  /// max(x, 0).
  case relu = 5
  /// min(max(x, 0), 6).
  case relu6 = 6

  /// Whether the derivative at y = f(x) is the one at x, so that only y need be kept.
  var isKnownByResult: Bool { self == .relu || self == .relu6 }

  /// The function in binary64.
  public func reference(_ x: Double) -> Double {
    switch self {
    case .identity: x
    case .gelu: 0.5 * x * (1 + erf(x / 2.0.squareRoot()))
    case .geluTanh:
      0.5 * x * (1 + Glibc.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case .silu: x / (1 + exp(-x))
    case .tanh: Glibc.tanh(x)
    case .relu: max(x, 0)
    case .relu6: min(max(x, 0), 6)
    }
  }
}

/// y = activation(x · Wᵀ + b) + residual.
public struct Linear: Operator {
  /// Name in printed plans.
  public static let name = "linear"

  let hasBias: Bool
  var activation: Activation
  var hasResidual: Bool
  /// Whether the product may be taken by parts (`Graph.withProductsByParts`).
  var byParts = false

  /// y [M, N] of x [M, K], W [N, K].
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let (x, weight) = (inputs[0].shape, parameters[0])
    try require(weight.rank == 2, "a weight [outputs, inputs], not \(weight)")
    try require(x.columns == weight[1], "\(weight[1]) input features of \(weight), not \(x)")
    if hasBias {
      try require(parameters[1] == [weight[0]], "a bias [\(weight[0])], not \(parameters[1])")
    }
    let y: Shape = [x.rows, weight[0]]
    if hasResidual { try require(inputs[1].shape == y, "a residual \(y), not \(inputs[1])") }
    return [ValueType(y)]
  }

  /// The residual: each element is read just before it is written.
  public var overwritableInputs: [Int] { hasResidual ? [1] : [] }

  /// One.
  public var panelLayouts: [PanelLayout] { [byParts ? .parts : .linear] }

  /// 2·M·N·K.
  public func flops(_ inputs: [ValueType], _ parameters: [Shape]) -> Int {
    2 * inputs[0].shape.rows * parameters[0].elementCount
  }

  /// What packing takes.
  public func scratchBytes(_ inputs: [ValueType], _ parameters: [Shape], threads: Int) -> Int {
    let kernels = unsafe KernelTable.current.kernels.pointee
    return kernels.linear_scratch_bytes(
      Int64(inputs[0].shape.rows),
      Int64(parameters[0][0]),
      Int64(parameters[0][1])
    )
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (x, weight) = (inputs[0], parameters[0])
    var y = ReferenceTensor(zeros: [x.shape.rows, weight.shape[0]])
    for m in 0..<x.shape.rows {
      for n in 0..<weight.shape[0] {
        var sum = hasBias ? parameters[1].data[n] : 0
        for k in 0..<x.shape.columns { sum += x[m, k] * weight[n, k] }
        y[m, n] = activation.reference(sum) + (hasResidual ? inputs[1][m, n] : 0)
      }
    }
    return [y]
  }

  /// Tasks are tiles of the output; which tile a thread gets changes no bit.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; tiles are disjoint.
    let parameter = unsafe call.parameter(0)
    let rows = call.outputTypes[0].shape.rows
    let columns = call.outputTypes[0].shape.columns
    var arguments = unsafe samara_linear_args()
    unsafe arguments.input = UnsafePointer(call.floats(0))
    unsafe arguments.input_stride = parameter.weight.columns
    unsafe arguments.weight = parameter.weight
    unsafe arguments.packed = parameter.panels(byParts ? .parts : .linear)
    if hasBias { unsafe arguments.bias = call.parameter(1).vector }
    if hasResidual {
      unsafe arguments.residual = UnsafePointer(call.floats(1))
      unsafe arguments.residual_stride = Int64(columns)
    }
    unsafe arguments.output = call.result()
    unsafe arguments.output_stride = Int64(columns)
    unsafe arguments.activation = activation.rawValue
    unsafe arguments.by_parts = byParts ? 1 : 0
    unsafe call.linear(arguments, rows: rows, columns: columns)
  }
}
