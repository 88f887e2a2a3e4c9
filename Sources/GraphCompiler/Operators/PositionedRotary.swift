// Apache-2.0.
import CKernels
public import Tensors

/// Rotary positions where each row says its own.
public struct PositionedRotary: Operator {
  /// Name in printed plans.
  public static let name = "positioned_rotary"

  let headDimension: Int

  /// Heads of `headDimension` columns.
  public init(headDimension: Int) { self.headDimension = headDimension }

  /// y as x [M, heads·D]; tables [positions, D/2], positions [M] of integers.
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let row = ValueType([1, inputs[0].shape.columns])
    let table = ValueType([1, inputs[1].shape.columns])
    _ = try Rotary(headDimension: headDimension).outputs([row, table, table], parameters)
    try require(
      inputs[1] == inputs[2] && inputs[3].scalar == .integer
        && inputs[3].shape.elementCount == inputs[0].shape.rows,
      "two tables and a position a row, not \(inputs)"
    )
    return [inputs[0]]
  }

  /// In place.
  public var overwritableInputs: [Int] { [0] }

  /// Three an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    3 * inputs[0].shape.elementCount
  }

  /// The definition, row by row.
  public func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (width, half) = (inputs[0].shape.columns, headDimension / 2)
    var y: [Double] = []
    for row in 0..<inputs[0].shape.rows {
      let at = Int(inputs[3].data[row])
      func table(_ index: Int) -> ReferenceTensor {
        ReferenceTensor([1, half], Array(inputs[index].data[at * half..<(at + 1) * half]))
      }
      let x = ReferenceTensor([1, width], Array(inputs[0].data[row * width..<(row + 1) * width]))
      y +=
        Rotary(headDimension: headDimension).reference([x, table(1), table(2)], parameters)[0]
        .data
    }
    return [ReferenceTensor(inputs[0].shape, y)]
  }

  /// Tasks are rows.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made, positions are bounded by the tables, and
    // parts are disjoint rows.
    let (x, y) = unsafe (call.floats(0), call.result())
    let (cosines, sines, positions) = unsafe (call.floats(1), call.floats(2), call.integers(3))
    let (rows, width) = (call.outputTypes[0].shape.rows, call.outputTypes[0].shape.columns)
    let last = call.inputTypes[1].shape.rows - 1
    let kernels = unsafe call.kernels
    let inPlace = unsafe x == y
    call.split(rows, grain: 16) { part, _ in
      for row in part {
        if !inPlace { unsafe (y + row * width).update(from: x + row * width, count: width) }
        let at = unsafe max(0, min(Int(positions[row]), last)) * (headDimension / 2)
        unsafe kernels.rotary(
          y + row * width,
          1,
          Int64(width),
          Int64(width / headDimension),
          Int64(headDimension),
          cosines + at,
          sines + at
        )
      }
    }
  }
}
