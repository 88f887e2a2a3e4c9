// Apache-2.0.
import CKernels
public import Tensors

/// y = a + b.
public struct Add: Operator {
  /// Name in printed plans.
  public static let name = "add"

  /// y as a and b.
  public func outputs(
    _ inputs: [ValueType],
    _: [Shape]
  ) throws(GraphError) -> [ValueType] {
    try require(inputs[0] == inputs[1], "two values of one shape, not \(inputs)")
    return [inputs[0]]
  }

  /// Either summand.
  public var overwritableInputs: [Int] { [0, 1] }

  /// One an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int { inputs[0].shape.elementCount }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    [ReferenceTensor(inputs[0].shape, zip(inputs[0].data, inputs[1].data).map(+))]
  }

  /// Tasks are parts.
  public func run(_ call: KernelCall) {
    // SAFETY: three values of one shape; parts are disjoint.
    let (a, b, y) = unsafe (call.floats(0), call.floats(1), call.result())
    let kernels = unsafe call.kernels
    call.split(call.outputTypes[0].shape.elementCount, grain: 8192) { part, _ in
      let at = part.lowerBound
      unsafe kernels.add(a + at, b + at, y + at, Int64(part.count))
    }
  }
}

/// y = silu(gate) ⊙ up, as in gated feed-forward layers (Shazeer, 2020).
public struct SiLUMultiply: Operator {
  /// Name in printed plans.
  public static let name = "silu_multiply"

  /// y as gate and up.
  public func outputs(
    _ inputs: [ValueType],
    _: [Shape]
  ) throws(GraphError) -> [ValueType] {
    try require(inputs[0] == inputs[1], "two values of one shape, not \(inputs)")
    return [inputs[0]]
  }

  /// Either factor.
  public var overwritableInputs: [Int] { [0, 1] }

  /// Six an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    6 * inputs[0].shape.elementCount
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let products = zip(inputs[0].data, inputs[1].data).map { gate, up in
      Activation.silu.reference(gate) * up
    }
    return [ReferenceTensor(inputs[0].shape, products)]
  }

  /// Tasks are parts.
  public func run(_ call: KernelCall) {
    // SAFETY: three values of one shape; parts are disjoint.
    let (gate, up, y) = unsafe (call.floats(0), call.floats(1), call.result())
    let kernels = unsafe call.kernels
    call.split(call.outputTypes[0].shape.elementCount, grain: 4096) { part, _ in
      let at = part.lowerBound
      unsafe kernels.silu_multiply(gate + at, up + at, y + at, Int64(part.count))
    }
  }
}

/// One row of each sequence.
public struct SequenceRow: Operator {
  /// Which row.
  public enum Which: Sendable, Hashable {
    /// The first, as BERT's `[CLS]`.
    case first
    /// The last before the padding.
    case last
  }

  /// Name in printed plans.
  public static let name = "sequence_row"

  private let which: Which

  init(_ which: Which) { self.which = which }

  /// y [B, N] of x [B·T, N] and lengths [B].
  public func outputs(
    _ inputs: [ValueType],
    _: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let (rows, sequences) = (inputs[0].shape.rows, inputs[1].shape.elementCount)
    try require(
      sequences > 0 && rows % sequences == 0 && inputs[1].scalar == .integer,
      "the same number of rows for \(sequences) sequences, not \(rows)"
    )
    return [ValueType([sequences, inputs[0].shape.columns])]
  }

  /// Only copies.
  public func flops(_: [ValueType], _: [Shape]) -> Int { 0 }

  func row(_ sequence: Int, positions: Int, length: Int) -> Int {
    sequence * positions + (which == .first ? 0 : max(0, min(length, positions) - 1))
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let lengths = inputs[1].data
    let width = inputs[0].shape.columns
    let positions = inputs[0].shape.rows / lengths.count
    var y = ReferenceTensor(zeros: [lengths.count, width])
    for (sequence, length) in lengths.enumerated() {
      let row = row(sequence, positions: positions, length: Int(length))
      for column in 0..<width { y[sequence, column] = inputs[0][row, column] }
    }
    return [y]
  }

  /// A copy on the calling thread.
  public func run(_ call: KernelCall) {
    let sequences = call.outputTypes[0].shape.rows
    let width = call.outputTypes[0].shape.columns
    let positions = call.inputTypes[0].shape.rows / sequences
    // SAFETY: `row` stays within the sequence, and outputs are never the memory of inputs.
    for sequence in 0..<sequences {
      let length = unsafe Int(call.integers(1)[sequence])
      let row = row(sequence, positions: positions, length: length)
      unsafe (call.result() + sequence * width).update(
        from: call.floats(0) + row * width,
        count: width
      )
    }
  }
}
