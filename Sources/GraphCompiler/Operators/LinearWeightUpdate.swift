// Apache-2.0.
import CKernels
public import Tensors

/// W moves along dyᵀ · x, no element of which is ever stored.
public struct LinearWeightUpdate: Operator {
  /// Name in printed plans.
  public static let name = "linear_weight_update"

  let optimizer: Optimizer
  /// How many of the first input channels train, where not all of them.
  let columns: Int?

  private var gradient: LinearWeightGradient {
    LinearWeightGradient(hasSum: false, columns: columns)
  }

  /// Nothing; of x [M, K], dy [M, N], the schedule and the optimiser's states [N, K].
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let made = try gradient.outputs(Array(inputs[0..<2]), [])
    return try Update(optimizer: optimizer, isScaled: false)
      .outputs(made + inputs[2...], parameters)
  }

  /// Changes the parameter and the states.
  public var hasEffect: Bool { true }

  /// 2·M·N·K, and the update.
  public func flops(_ inputs: [ValueType], _ parameters: [Shape]) -> Int {
    gradient.flops(inputs, [])
      + Update(optimizer: optimizer, isScaled: false).flops([ValueType(parameters[0])], [])
  }

  /// Scratch of the kernel.
  public func scratchBytes(_ inputs: [ValueType], _ parameters: [Shape], threads: Int) -> Int {
    gradient.scratchBytes(inputs, [], threads: threads)
  }

  /// Nothing is made.
  public func reference(_: [ReferenceTensor], _: [ReferenceTensor]) -> [ReferenceTensor] { [] }

  /// The definition.
  public func referenceEffect(
    _ inputs: inout [ReferenceTensor],
    _ parameters: inout [ReferenceTensor]
  ) {
    var operands = gradient.reference(Array(inputs[0..<2]), []) + inputs[2...]
    Update(optimizer: optimizer, isScaled: false).referenceEffect(&operands, &parameters)
    inputs.replaceSubrange(3..., with: operands[2...])
  }

  /// Tasks are tiles of W; which tile a thread gets changes no bit.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; tiles are disjoint.
    let width = call.inputTypes[0].shape.columns
    let rows = call.inputTypes[1].shape.columns
    var rule = unsafe optimizer.update(call.floats(2))
    var arguments = unsafe samara_linear_weight_gradient_args()
    unsafe arguments.output_gradient = UnsafePointer(call.floats(1))
    unsafe arguments.output_gradient_stride = Int64(rows)
    unsafe arguments.input = UnsafePointer(call.floats(0))
    unsafe arguments.input_stride = Int64(width)
    unsafe arguments.rows = Int64(call.inputTypes[0].shape.rows)
    unsafe arguments.weights = call.trainable(0)
    unsafe arguments.weight_stride = call.parameter(0).weight.columns
    if optimizer.stateCount > 0 { unsafe arguments.first = call.floats(3) }
    if optimizer.stateCount > 1 { unsafe arguments.second = call.floats(4) }
    unsafe withUnsafePointer(to: &rule) { update in
      unsafe arguments.update = update
      unsafe call.linearWeightGradient(arguments, rows: rows, columns: columns ?? width)
    }
  }
}
