// Apache-2.0.
import CKernels
public import Tensors

extension Linear: DifferentiableOperator {
  /// dx = dy · W, dW = dyᵀ · x, db = column sums of dy; dy itself for the residual.
  ///
  /// An activation whose derivative the result does not tell must be a node of its own
  /// (`Graph.activationsApart`).
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard var dy = backward.outputGradient() else { return }
    let node = backward.node
    if activation.isKnownByResult, !hasResidual {
      dy = try backward.apply(
        ActivationGradient(activation: activation),
        [node.outputs[0], dy]
      )[0]
    } else {
      try require(activation == .identity, "an activation of its own where gradients pass")
    }
    if hasResidual { try backward.add(input: 1, dy) }
    try backward.add(input: 0) { (backward, sum) throws(GraphError) in
      try backward.apply(
        LinearInputGradient(hasSum: sum != nil),
        [dy] + (sum.map { [$0] } ?? []),
        [node.parameters[0]]
      )[0]
    }
    let columns = backward.columns(parameter: 0)
    try backward.add(parameter: 0) { (backward, sum) throws(GraphError) in
      try backward.apply(
        LinearWeightGradient(hasSum: sum != nil, columns: columns),
        [node.inputs[0], dy] + (sum.map { [$0] } ?? [])
      )[0]
    }
    if hasBias {
      try backward.add(parameter: 1, backward.apply(ColumnSums(), [dy])[0])
    }
  }
}

/// dx = dy · W + sum, or (dy · W) ⊙ activation′(x) where x went into an activation before the layer.
public struct LinearInputGradient: Operator {
  /// Name in printed plans.
  public static let name = "linear_input_gradient"

  let hasSum: Bool
  /// The activation whose input is read in place of a sum.
  var activation = Activation.identity

  private var reads: Bool { hasSum || activation != .identity }

  /// dx [M, K] of dy [M, N], W [N, K].
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let (dy, weight) = (inputs[0].shape, parameters[0])
    try require(
      weight.rank == 2 && dy.columns == weight[0],
      "\(weight) outputs, not those of \(dy)"
    )
    let dx: Shape = [dy.rows, weight[1]]
    try require(!hasSum || activation == .identity, "a sum or an activation, not both")
    guard reads else { return [ValueType(dx)] }
    try require(
      inputs[1].shape.rows == dx.rows && inputs[1].shape.columns == dx.columns,
      "a second operand \(dx), not \(inputs[1])"
    )
    return [inputs[1]]
  }

  /// One.
  public var panelLayouts: [PanelLayout] { [.inputGradient] }

  /// The second operand: each element is read just before it is written.
  public var overwritableInputs: [Int] { hasSum ? [1] : [] }

  /// 2·M·N·K.
  public func flops(_ inputs: [ValueType], _ parameters: [Shape]) -> Int {
    2 * inputs[0].shape.rows * parameters[0].elementCount
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (dy, weight) = (inputs[0], parameters[0])
    var dx = hasSum ? inputs[1] : ReferenceTensor(zeros: [dy.shape.rows, weight.shape[1]])
    for m in 0..<dy.shape.rows {
      for n in 0..<weight.shape[0] {
        for k in 0..<weight.shape[1] { dx[m, k] += dy[m, n] * weight[n, k] }
      }
    }
    if activation != .identity {
      for index in dx.data.indices {
        dx.data[index] *= activation.derivative(inputs[1].data[index])
      }
    }
    return [dx]
  }

  /// Scratch of the kernel.
  public func scratchBytes(_ inputs: [ValueType], _ parameters: [Shape], threads: Int) -> Int {
    let kernels = unsafe KernelTable.current.kernels.pointee
    return kernels.linear_input_gradient_scratch_bytes(
      Int64(inputs[0].shape.rows),
      Int64(parameters[0][0]),
      Int64(parameters[0][1])
    )
  }

  /// Tasks are tiles of dx; which tile a thread gets changes no bit.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; tiles are disjoint.
    let parameter = unsafe call.parameter(0)
    let (rows, columns) = (call.outputTypes[0].shape.rows, call.outputTypes[0].shape.columns)
    var arguments = unsafe samara_linear_input_gradient_args()
    unsafe arguments.output_gradient = UnsafePointer(call.floats(0))
    unsafe arguments.output_gradient_stride = Int64(call.inputTypes[0].shape.columns)
    unsafe arguments.weight = parameter.weight
    unsafe arguments.packed = parameter.panels(.inputGradient)
    if hasSum {
      unsafe arguments.residual = UnsafePointer(call.floats(1))
      unsafe arguments.residual_stride = Int64(columns)
    }
    if activation != .identity {
      unsafe arguments.saved = UnsafePointer(call.floats(1))
      unsafe arguments.saved_stride = Int64(columns)
      unsafe arguments.activation = activation.rawValue
    }
    unsafe arguments.input_gradient = call.result()
    unsafe arguments.input_gradient_stride = Int64(columns)
    unsafe call.linearInputGradient(arguments, rows: rows, columns: columns)
  }
}

/// dW = dyᵀ · x + sum, or its first columns.
public struct LinearWeightGradient: Operator {
  /// Name in printed plans.
  public static let name = "linear_weight_gradient"

  let hasSum: Bool
  /// How many of the first input channels, where not all of them.
  var columns: Int?

  /// dW [N, K] of x [M, K], dy [M, N].
  public func outputs(
    _ inputs: [ValueType],
    _: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let (x, dy) = (inputs[0].shape, inputs[1].shape)
    try require(x.rows == dy.rows, "as many rows in \(x) as in \(dy)")
    try require(columns.map { $0 <= x.columns } ?? true, "no more channels than \(x) has")
    let type = ValueType([dy.columns, columns ?? x.columns])
    if hasSum { try require(inputs[2] == type, "a sum \(type), not \(inputs[2])") }
    return [type]
  }

  /// The sum.
  public var overwritableInputs: [Int] { hasSum ? [2] : [] }

  /// 2·M·N·K.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    2 * inputs[0].shape.rows * (columns ?? inputs[0].shape.columns) * inputs[1].shape.columns
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (x, dy) = (inputs[0], inputs[1])
    let width = columns ?? x.shape.columns
    var dw = hasSum ? inputs[2] : ReferenceTensor(zeros: [dy.shape.columns, width])
    for m in 0..<x.shape.rows {
      for n in 0..<dy.shape.columns {
        for k in 0..<width { dw[n, k] += dy[m, n] * x[m, k] }
      }
    }
    return [dw]
  }

  /// Scratch of the kernel.
  public func scratchBytes(_ inputs: [ValueType], _: [Shape], threads: Int) -> Int {
    let kernels = unsafe KernelTable.current.kernels.pointee
    return kernels.linear_weight_gradient_scratch_bytes(
      Int64(inputs[0].shape.rows),
      Int64(inputs[1].shape.columns),
      Int64(inputs[0].shape.columns)
    )
  }

  /// Tasks are tiles of dW; which tile a thread gets changes no bit.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; tiles are disjoint.
    let (rows, columns) = (call.outputTypes[0].shape.rows, call.outputTypes[0].shape.columns)
    var arguments = unsafe samara_linear_weight_gradient_args()
    unsafe arguments.output_gradient = UnsafePointer(call.floats(1))
    unsafe arguments.output_gradient_stride = Int64(rows)
    unsafe arguments.input = UnsafePointer(call.floats(0))
    unsafe arguments.input_stride = Int64(call.inputTypes[0].shape.columns)
    unsafe arguments.rows = Int64(call.inputTypes[0].shape.rows)
    unsafe arguments.gradient = call.result()
    unsafe arguments.gradient_stride = Int64(columns)
    if hasSum {
      unsafe call.copy(2)
      unsafe arguments.accumulate = 1
    }
    unsafe call.linearWeightGradient(arguments, rows: rows, columns: columns)
  }
}

/// Sums of columns: the gradient of a bias.
public struct ColumnSums: Operator {
  /// Name in printed plans.
  public static let name = "column_sums"

  /// db [N] of dy [M, N].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    [ValueType([inputs[0].shape.columns])]
  }

  /// One an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int { inputs[0].shape.elementCount }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let dy = inputs[0]
    var sums = ReferenceTensor(zeros: [dy.shape.columns])
    for m in 0..<dy.shape.rows {
      for n in 0..<dy.shape.columns { sums.data[n] += dy[m, n] }
    }
    return [sums]
  }

  /// Tasks are columns.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; parts are disjoint columns.
    let (dy, sums) = unsafe (call.floats(0), call.result())
    let (rows, width) = (call.inputTypes[0].shape.rows, call.outputTypes[0].shape.columns)
    let kernels = unsafe call.kernels
    call.split(width, grain: max(16, (1 << 15) / max(1, rows) / 16 * 16)) { part, _ in
      unsafe kernels.column_sums(
        dy + part.lowerBound,
        Int64(width),
        Int64(rows),
        Int64(part.count),
        sums + part.lowerBound,
        0
      )
    }
  }
}
