// Apache-2.0.
import CKernels
public import Tensors

/// A matrix cut into equal parts side by side, as queries, keys and values of one product.
public struct SplitColumns: DifferentiableOperator {
  /// Name in printed plans.
  public static let name = "split_columns"

  let parts: Int

  /// As many outputs [M, N/parts] as there are parts, of x [M, N].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    let x = inputs[0].shape
    try require(parts > 0 && x.columns % parts == 0, "\(parts) equal parts of \(x)")
    let part = ValueType([x.rows, x.columns / parts])
    return [ValueType](repeating: part, count: parts)
  }

  /// Only copies.
  public func flops(_: [ValueType], _: [Shape]) -> Int { 0 }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let x = inputs[0]
    let width = x.shape.columns / parts
    return (0..<parts).map { part in
      var y = ReferenceTensor(zeros: [x.shape.rows, width])
      for row in 0..<x.shape.rows {
        for column in 0..<width { y[row, column] = x[row, part * width + column] }
      }
      return y
    }
  }

  /// Tasks are rows.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; tasks are disjoint rows.
    let x = unsafe call.floats(0)
    let width = call.outputTypes[0].shape.columns
    for part in 0..<parts {
      let y = unsafe call.result(part)
      call.split(call.outputTypes[0].shape.rows, grain: max(1, 16384 / max(1, width))) { rows, _ in
        for row in rows {
          unsafe (y + row * width).update(from: x + (row * parts + part) * width, count: width)
        }
      }
    }
  }

  /// The gradients of the parts side by side again.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    let gradients = (0..<parts).map { backward.outputGradient($0) }
    let known = gradients.compactMap { $0 }
    guard !known.isEmpty else { return }
    try backward.add(
      input: 0,
      backward.apply(JoinColumns(isPresent: gradients.map { $0 != nil }), known)[0]
    )
  }
}

/// Matrices of one shape side by side, with zeros in the place of those that are missing.
public struct JoinColumns: Operator {
  /// Name in printed plans.
  public static let name = "join_columns"

  let isPresent: [Bool]

  /// y [M, parts·N] of matrices [M, N].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    let type = inputs[0]
    try require(inputs.allSatisfy { $0 == type }, "parts of one shape, not \(inputs)")
    return [ValueType([type.shape.rows, isPresent.count * type.shape.columns])]
  }

  /// Only copies.
  public func flops(_: [ValueType], _: [Shape]) -> Int { 0 }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (rows, width) = (inputs[0].shape.rows, inputs[0].shape.columns)
    var y = ReferenceTensor(zeros: [rows, isPresent.count * width])
    var next = inputs.startIndex
    for (part, isThere) in isPresent.enumerated() where isThere {
      for row in 0..<rows {
        for column in 0..<width { y[row, part * width + column] = inputs[next][row, column] }
      }
      next += 1
    }
    return [y]
  }

  /// Tasks are rows.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; tasks are disjoint rows.
    let y = unsafe call.result()
    let width = call.inputTypes[0].shape.columns
    var next = 0
    for (part, isThere) in isPresent.enumerated() {
      let x = unsafe isThere ? call.floats(next) : nil
      if isThere { next += 1 }
      call.split(call.outputTypes[0].shape.rows, grain: max(1, 16384 / max(1, width))) { rows, _ in
        for row in rows {
          let target = unsafe y + (row * isPresent.count + part) * width
          if let x = unsafe x {
            unsafe target.update(from: x + row * width, count: width)
          } else {
            unsafe target.update(repeating: 0, count: width)
          }
        }
      }
    }
  }
}
