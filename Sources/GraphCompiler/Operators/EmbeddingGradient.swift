// Apache-2.0.
import CKernels
public import Tensors

extension Embedding: DifferentiableOperator {
  /// Rows of dy summed by the id they were read with.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient() else { return }
    let node = backward.node
    let rows = backward.builder.shape(of: node.parameters[0])[0]
    try backward.add(parameter: 0) { (backward, sum) throws(GraphError) in
      try backward.apply(
        EmbeddingGradient(rows: rows, hasSum: sum != nil),
        [node.inputs[0], dy] + (sum.map { [$0] } ?? [])
      )[0]
    }
  }
}

/// dtable: rows of dy summed by id, in the order of the rows.
public struct EmbeddingGradient: Operator {
  /// Name in printed plans.
  public static let name = "embedding_gradient"

  let rows: Int
  let hasSum: Bool

  /// dtable [rows, width] of n ids and dy [n, width].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    try require(
      inputs[0].scalar == .integer && inputs[0].shape.elementCount == inputs[1].shape.rows,
      "one id a row of \(inputs[1]), not \(inputs[0])"
    )
    let type = ValueType([rows, inputs[1].shape.columns])
    if hasSum { try require(inputs[2] == type, "a sum \(type), not \(inputs[2])") }
    return [type]
  }

  /// The sum.
  public var overwritableInputs: [Int] { hasSum ? [2] : [] }

  /// One an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int { inputs[1].shape.elementCount }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let dy = inputs[1]
    var table = hasSum ? inputs[2] : ReferenceTensor(zeros: [rows, dy.shape.columns])
    for (row, id) in inputs[0].data.enumerated() {
      for column in 0..<dy.shape.columns { table[Int(id), column] += dy[row, column] }
    }
    return [table]
  }

  /// Tasks are rows of the table, each of which looks through all ids.
  public func run(_ call: KernelCall) {
    // SAFETY: whoever sets the ids checks them against the table; parts are disjoint rows of it.
    let (ids, dy, table) = unsafe (call.integers(0), call.floats(1), call.result())
    let (count, width) = (call.inputTypes[1].shape.rows, call.inputTypes[1].shape.columns)
    let kernels = unsafe call.kernels
    if hasSum { unsafe call.copy(2) }
    let size = max(1, (rows + call.team.threadCount - 1) / call.team.threadCount)
    call.team.run(tasks: (rows + size - 1) / size) { task, _ in
      let part = task * size..<min(rows, (task + 1) * size)
      if !hasSum {
        unsafe (table + part.lowerBound * width).update(repeating: 0, count: part.count * width)
      }
      unsafe kernels.embedding_gradient(
        dy,
        Int64(width),
        ids,
        Int64(count),
        1,
        table,
        Int64(width),
        Int64(width),
        Int64(part.lowerBound),
        Int64(part.upperBound)
      )
    }
  }
}

extension PositionEmbedding: DifferentiableOperator {
  /// dy summed over the sequences; zero in the rows past the positions.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient() else { return }
    let shape = backward.builder.shape(of: backward.node.parameters[0])
    try backward.add(
      parameter: 0,
      backward.apply(
        PositionEmbeddingGradient(rows: shape[0], sequences: sequences, positions: positions),
        [dy]
      )[0]
    )
  }
}

/// dtable of learnt positions: dy summed over sequences, in their order.
public struct PositionEmbeddingGradient: Operator {
  /// Name in printed plans.
  public static let name = "positions_gradient"

  let rows: Int
  let sequences: Int
  let positions: Int

  /// dtable [rows, width] of dy [sequences · positions, width].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    try require(
      inputs[0].shape.rows == sequences * positions && positions <= rows,
      "\(sequences * positions) rows, not \(inputs[0])"
    )
    return [ValueType([rows, inputs[0].shape.columns])]
  }

  /// One an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int { inputs[0].shape.elementCount }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let dy = inputs[0]
    var table = ReferenceTensor(zeros: [rows, dy.shape.columns])
    for row in 0..<dy.shape.rows {
      for column in 0..<dy.shape.columns { table[row % positions, column] += dy[row, column] }
    }
    return [table]
  }

  /// Tasks are rows of the table.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; parts are disjoint rows.
    let (dy, table) = unsafe (call.floats(0), call.result())
    let width = call.outputTypes[0].shape.columns
    let kernels = unsafe call.kernels
    call.split(rows, grain: max(1, 16384 / max(1, width * sequences))) { part, _ in
      for row in part {
        let target = unsafe table + row * width
        if row < positions {
          unsafe target.update(from: dy + row * width, count: width)
          for sequence in 1..<max(1, sequences) {
            let source = unsafe dy + (sequence * positions + row) * width
            unsafe kernels.add(target, source, target, Int64(width))
          }
        } else {
          unsafe target.update(repeating: 0, count: width)
        }
      }
    }
  }
}
