// Apache-2.0.
import CKernels
public import Tensors

/// y[i] = table[ids[i]].
public struct Embedding: Operator {
  /// Name in printed plans.
  public static let name = "embedding"

  /// y [n, width] of n ids and a table [vocabulary, width].
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    try require(inputs[0].scalar == .integer, "ids that are integers")
    try require(parameters[0].rank == 2, "a table [rows, width], not \(parameters[0])")
    return [ValueType([inputs[0].shape.elementCount, parameters[0][1]])]
  }

  /// Only reads.
  public func flops(_: [ValueType], _: [Shape]) -> Int { 0 }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let width = parameters[0].shape[1]
    var y = ReferenceTensor(zeros: [inputs[0].data.count, width])
    for (row, id) in inputs[0].data.enumerated() {
      for column in 0..<width { y[row, column] = parameters[0][Int(id), column] }
    }
    return [y]
  }

  /// Tasks are rows.
  public func run(_ call: KernelCall) {
    // SAFETY: whoever sets the ids checks them against the table; parts are disjoint rows.
    var weight = unsafe call.parameter(0).weight
    let (ids, y) = unsafe (call.integers(0), call.result())
    let width = call.outputTypes[0].shape.columns
    let kernels = unsafe call.kernels
    call.split(call.outputTypes[0].shape.rows, grain: 32) { part, _ in
      unsafe kernels.embedding(
        &weight,
        ids + part.lowerBound,
        Int64(part.count),
        y + part.lowerBound * width,
        Int64(width)
      )
    }
  }
}

/// The first rows of a table of learnt positions, once for each sequence.
public struct PositionEmbedding: Operator {
  /// Name in printed plans.
  public static let name = "positions"

  let sequences: Int
  let positions: Int

  /// y [sequences · positions, width] of a table [at least positions, width].
  public func outputs(
    _: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    try require(
      parameters[0].rank == 2 && parameters[0][0] >= positions,
      "a table of at least \(positions) positions, not \(parameters[0])"
    )
    return [ValueType([sequences * positions, parameters[0][1]])]
  }

  /// Only reads.
  public func flops(_: [ValueType], _: [Shape]) -> Int { 0 }

  /// The definition.
  public func reference(
    _: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let width = parameters[0].shape[1]
    let once = parameters[0].data[..<(positions * width)]
    let all = (0..<sequences).flatMap { _ in once }
    return [ReferenceTensor([sequences * positions, width], all)]
  }

  /// Tasks are sequences.
  public func run(_ call: KernelCall) {
    // SAFETY: the table has the rows, and every sequence writes rows of its own.
    var weight = unsafe call.parameter(0).weight
    let y = unsafe call.result()
    let size = positions * call.outputTypes[0].shape.columns
    let kernels = unsafe call.kernels
    call.split(sequences, grain: 1) { part, _ in
      for sequence in part {
        unsafe kernels.materialize(&weight, 0, Int64(positions), y + sequence * size)
      }
    }
  }
}
