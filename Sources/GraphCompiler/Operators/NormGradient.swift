// Apache-2.0.
import CKernels
public import Tensors

extension RMSNorm: DifferentiableOperator {
  /// Statistics are computed again from x.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    try NormGradient(epsilon: epsilon, isCentred: false).apply(&backward)
  }
}

extension LayerNorm: DifferentiableOperator {
  /// Statistics are computed again from x.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    try NormGradient(epsilon: epsilon, isCentred: true).apply(&backward)
  }
}

/// Gradients of RMS norm and layer norm: dx + sum, and sums for gain and bias over groups of rows.
public struct NormGradient: Operator {
  /// Name in printed plans.
  public static let name = "norm_gradient"

  /// Rows whose products are summed together; the same whatever the number of threads.
  static let groupRows = 64

  let epsilon: Float
  let isCentred: Bool
  var wantsInput = false
  var wantsGain = false
  var wantsBias = false
  var hasSum = false

  init(epsilon: Float, isCentred: Bool) {
    self.epsilon = epsilon
    self.isCentred = isCentred
  }

  fileprivate func apply(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient() else { return }
    let node = backward.node
    var operation = self
    operation.wantsInput = backward.wants(input: 0)
    operation.wantsGain = backward.wants(parameter: 0)
    operation.wantsBias = backward.wants(parameter: 1)
    guard operation.wantsInput || operation.wantsGain || operation.wantsBias else { return }
    var made: [ValueID] = []
    if operation.wantsInput {
      try backward.add(input: 0) { (backward, sum) throws(GraphError) in
        operation.hasSum = sum != nil
        made = try backward.apply(
          operation,
          [node.inputs[0], dy] + (sum.map { [$0] } ?? []),
          [node.parameters[0]]
        )
        return made[0]
      }
      made.removeFirst()
    } else {
      made = try backward.apply(operation, [node.inputs[0], dy], [node.parameters[0]])
    }
    if operation.wantsGain {
      try backward.add(parameter: 0, backward.apply(ColumnSums(), [made.removeFirst()])[0])
    }
    if operation.wantsBias {
      try backward.add(parameter: 1, backward.apply(ColumnSums(), [made.removeFirst()])[0])
    }
  }

  /// What is wanted of dx as x, products for the gain [groups, N], sums for the bias [groups, N];
  /// inputs x and dy [M, N], and the sum so far of dx.
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let x = inputs[0].shape
    try require(inputs[1].shape == x, "a gradient \(x), not \(inputs[1])")
    try require(parameters[0] == [x.columns], "a gain [\(x.columns)], not \(parameters[0])")
    if hasSum { try require(inputs[2] == inputs[0], "a sum \(x), not \(inputs[2])") }
    let groups = ValueType([(x.rows + Self.groupRows - 1) / Self.groupRows, x.columns])
    return (wantsInput ? [inputs[0]] : []) + (wantsGain ? [groups] : [])
      + (wantsBias ? [groups] : [])
  }

  /// The sum, or the gradient of the output.
  public var overwritableInputs: [Int] { wantsInput ? (hasSum ? [2, 1] : [1]) : [] }

  /// Twelve an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    12 * inputs[0].shape.elementCount
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (x, dy, gain) = (inputs[0], inputs[1], parameters[0].data)
    let width = x.shape.columns
    let count = Double(width)
    var dx = hasSum ? inputs[2] : ReferenceTensor(zeros: x.shape)
    let groups = (x.shape.rows + Self.groupRows - 1) / Self.groupRows
    var gains = ReferenceTensor(zeros: [groups, width])
    var biases = gains
    for row in 0..<x.shape.rows {
      let mean = isCentred ? (0..<width).reduce(0) { $0 + x[row, $1] } / count : 0
      let centred = (0..<width).map { x[row, $0] - mean }
      let scale = 1 / (centred.reduce(0) { $0 + $1 * $1 } / count + Double(epsilon)).squareRoot()
      let normal = centred.map { $0 * scale }
      let scaled = (0..<width).map { dy[row, $0] * gain[$0] }
      let along = zip(scaled, normal).reduce(0) { $0 + $1.0 * $1.1 } / count
      let constant = isCentred ? scaled.reduce(0, +) / count : 0
      for column in 0..<width {
        dx[row, column] += scale * (scaled[column] - constant - normal[column] * along)
        gains[row / Self.groupRows, column] += dy[row, column] * normal[column]
        biases[row / Self.groupRows, column] += dy[row, column]
      }
    }
    return (wantsInput ? [dx] : []) + (wantsGain ? [gains] : []) + (wantsBias ? [biases] : [])
  }

  /// Tasks are groups of rows.
  public func run(_ call: KernelCall) {
    let (rows, width) = (call.inputTypes[0].shape.rows, call.inputTypes[0].shape.columns)
    let kernels = unsafe call.kernels
    // SAFETY: shapes were checked when the node was made; every task writes rows of its own.
    let (x, dy, gain) = unsafe (call.floats(0), call.floats(1), call.parameter(0).vector)
    let sum = unsafe hasSum ? call.floats(2) : nil
    let dx = unsafe wantsInput ? call.result(0) : nil
    let gains = unsafe wantsGain ? call.result(wantsInput ? 1 : 0) : nil
    let biases = unsafe wantsBias ? call.result((wantsInput ? 1 : 0) + (wantsGain ? 1 : 0)) : nil
    let groups = (rows + Self.groupRows - 1) / Self.groupRows
    call.team.run(tasks: groups) { group, _ in
      let first = group * Self.groupRows
      let at = first * width
      var arguments = unsafe samara_norm_gradient_args()
      unsafe arguments.input = UnsafePointer(x + at)
      unsafe arguments.gain = gain
      unsafe arguments.output_gradient = UnsafePointer(dy + at)
      unsafe arguments.residual = sum.map { unsafe UnsafePointer($0 + at) }
      unsafe arguments.input_gradient = dx.map { unsafe $0 + at }
      unsafe arguments.gain_sums = gains.map { unsafe $0 + group * width }
      unsafe arguments.bias_sums = biases.map { unsafe $0 + group * width }
      unsafe arguments.rows = Int64(min(Self.groupRows, rows - first))
      unsafe arguments.columns = Int64(width)
      unsafe arguments.epsilon = epsilon
      if isCentred {
        unsafe kernels.layer_norm_gradient(&arguments)
      } else {
        unsafe kernels.rms_norm_gradient(&arguments)
      }
    }
  }
}
