// Apache-2.0.
import CKernels
public import Tensors

/// The first columns of a matrix.
public struct LeadingColumns: Operator {
  /// Name in printed plans.
  public static let name = "leading_columns"

  let count: Int

  /// y [M, count] of x [M, at least count].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    let x = inputs[0].shape
    try require(count <= x.columns, "at least \(count) columns in \(x)")
    return [ValueType([x.rows, count])]
  }

  /// Only copies.
  public func flops(_: [ValueType], _: [Shape]) -> Int { 0 }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let x = inputs[0]
    var y = ReferenceTensor(zeros: [x.shape.rows, count])
    for row in 0..<x.shape.rows {
      for column in 0..<count { y[row, column] = x[row, column] }
    }
    return [y]
  }

  /// Tasks are rows.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; parts are disjoint rows.
    let (x, y) = unsafe (call.floats(0), call.result())
    let width = call.inputTypes[0].shape.columns
    call.split(call.outputTypes[0].shape.rows, grain: max(1, 16384 / max(1, count))) { part, _ in
      for row in part {
        unsafe (y + row * count).update(from: x + row * width, count: count)
      }
    }
  }
}
