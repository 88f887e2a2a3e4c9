// Apache-2.0.
import CKernels
import Glibc
public import Tensors

extension Add: DifferentiableOperator {
  /// dy for both summands.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient() else { return }
    try backward.add(input: 0, dy)
    try backward.add(input: 1, dy)
  }
}

extension SiLUMultiply: DifferentiableOperator {
  /// dgate = dy ⊙ up ⊙ silu′(gate), dup = dy ⊙ silu(gate).
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient() else { return }
    let made = try backward.apply(SiLUMultiplyGradient(), backward.node.inputs + [dy])
    try backward.add(input: 0, made[0])
    try backward.add(input: 1, made[1])
  }
}

/// Both gradients of `SiLUMultiply`.
public struct SiLUMultiplyGradient: Operator {
  /// Name in printed plans.
  public static let name = "silu_multiply_gradient"

  /// dgate and dup as gate, up and dy.
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    try require(
      inputs[0] == inputs[1] && inputs[1] == inputs[2],
      "three values of one shape, not \(inputs)"
    )
    return [inputs[0], inputs[0]]
  }

  /// Elements are read before they are written.
  public var overwritableInputs: [Int] { [0, 1, 2] }

  /// Twelve an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    12 * inputs[0].shape.elementCount
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    var (gates, ups) = (inputs[0], inputs[1])
    for (index, dy) in inputs[2].data.enumerated() {
      let (gate, up) = (inputs[0].data[index], inputs[1].data[index])
      gates.data[index] = dy * up * Activation.silu.derivative(gate)
      ups.data[index] = dy * Activation.silu.reference(gate)
    }
    return [gates, ups]
  }

  /// Tasks are parts.
  public func run(_ call: KernelCall) {
    // SAFETY: five values of one shape; parts are disjoint.
    let (gate, up, dy) = unsafe (call.floats(0), call.floats(1), call.floats(2))
    let (gates, ups) = unsafe (call.result(0), call.result(1))
    let kernels = unsafe call.kernels
    call.split(call.outputTypes[0].shape.elementCount, grain: 4096) { part, _ in
      let at = part.lowerBound
      unsafe kernels.silu_multiply_gradient(
        gate + at,
        up + at,
        dy + at,
        gates + at,
        ups + at,
        Int64(part.count)
      )
    }
  }
}

extension SequenceRow: DifferentiableOperator {
  /// dy in the rows that were read, zero elsewhere.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient() else { return }
    let node = backward.node
    let rows = backward.type(of: node.inputs[0]).shape.rows
    try backward.add(input: 0) { (backward, sum) throws(GraphError) in
      try backward.apply(
        SequenceRowGradient(of: self, rows: rows, hasSum: sum != nil),
        [dy, node.inputs[1]] + (sum.map { [$0] } ?? [])
      )[0]
    }
  }
}

/// dx of `SequenceRow`: dy in one row of each sequence, and the sum so far or zero elsewhere.
public struct SequenceRowGradient: Operator {
  /// Name in printed plans.
  public static let name = "sequence_row_gradient"

  private let forward: SequenceRow
  private let rows: Int
  private let hasSum: Bool

  init(of forward: SequenceRow, rows: Int, hasSum: Bool) {
    self.forward = forward
    self.rows = rows
    self.hasSum = hasSum
  }

  /// dx [B·T, N] of dy [B, N] and lengths [B].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    let type = ValueType([rows, inputs[0].shape.columns])
    if hasSum { try require(inputs[2] == type, "a sum \(type), not \(inputs[2])") }
    return [type]
  }

  /// The sum.
  public var overwritableInputs: [Int] { hasSum ? [2] : [] }

  /// One an element of dy.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int { inputs[0].shape.elementCount }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (dy, lengths) = (inputs[0], inputs[1].data)
    var dx = hasSum ? inputs[2] : ReferenceTensor(zeros: [rows, dy.shape.columns])
    for (sequence, length) in lengths.enumerated() {
      let row = forward.row(sequence, positions: rows / lengths.count, length: Int(length))
      for column in 0..<dy.shape.columns { dx[row, column] += dy[sequence, column] }
    }
    return [dx]
  }

  /// On the calling thread.
  public func run(_ call: KernelCall) {
    let width = call.outputTypes[0].shape.columns
    let sequences = call.inputTypes[0].shape.rows
    // SAFETY: `row` stays within its sequence; the sum is the output's memory or another's.
    let (dy, lengths, dx) = unsafe (call.floats(0), call.integers(1), call.result())
    if hasSum {
      unsafe call.copy(2)
    } else {
      unsafe dx.update(repeating: 0, count: rows * width)
    }
    for sequence in 0..<sequences {
      let length = unsafe Int(lengths[sequence])
      let row = forward.row(sequence, positions: rows / sequences, length: length)
      let target = unsafe dx + row * width
      for column in 0..<width { unsafe target[column] += dy[sequence * width + column] }
    }
  }
}
