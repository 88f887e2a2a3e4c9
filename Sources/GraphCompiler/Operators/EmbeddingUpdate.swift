// Apache-2.0.
import CKernels
public import Tensors

/// Rows of a table move along the rows of dy that were read from them; the gradient of the table is
/// never stored.
public struct EmbeddingUpdate: Operator {
  /// Name in printed plans.
  public static let name = "embedding_update"

  let optimizer: Optimizer
  let rows: Int

  /// The first position of each id [rows] and the next one of each position [n]; of n ids, dy [n,
  /// width], the schedule and the optimiser's states [rows, width].
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let gradient = try EmbeddingGradient(rows: rows, hasSum: false)
      .outputs(Array(inputs[0..<2]), [])
    _ = try Update(optimizer: optimizer, isScaled: false)
      .outputs(gradient + inputs[2...], parameters)
    return [ValueType([rows], .integer), ValueType([inputs[1].shape.rows], .integer)]
  }

  /// Changes the table and the states.
  public var hasEffect: Bool { true }

  /// One an element of dy, and the update of every row but where a gradient of zero moves nothing.
  public func flops(_ inputs: [ValueType], _ parameters: [Shape]) -> Int {
    let changed = skips ? inputs[1] : ValueType(parameters[0])
    return inputs[1].shape.elementCount
      + Update(optimizer: optimizer, isScaled: false).flops([changed], [])
  }

  /// Whether a gradient of zero leaves weights and states as they are.
  private var skips: Bool { optimizer == .sgd(decay: 0) }

  /// The gradient of one row.
  public func scratchBytes(_ inputs: [ValueType], _: [Shape], threads: Int) -> Int {
    4 * inputs[1].shape.columns
  }

  /// Lists of positions mean nothing outside.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    [ReferenceTensor(zeros: [rows]), ReferenceTensor(zeros: [inputs[1].shape.rows])]
  }

  /// The definition.
  public func referenceEffect(
    _ inputs: inout [ReferenceTensor],
    _ parameters: inout [ReferenceTensor]
  ) {
    let gradient = EmbeddingGradient(rows: rows, hasSum: false)
      .reference(Array(inputs[0..<2]), [])
    var operands = gradient + inputs[2...]
    Update(optimizer: optimizer, isScaled: false).referenceEffect(&operands, &parameters)
    inputs.replaceSubrange(3..., with: operands[2...])
  }

  /// Tasks are rows of the table.
  public func run(_ call: KernelCall) {
    // SAFETY: whoever sets the ids checks them against the table; parts are disjoint rows of it.
    let (ids, dy, table) = unsafe (call.integers(0), call.floats(1), call.trainable(0))
    let (heads, nexts) = unsafe (call.integerResult(0), call.integerResult(1))
    let (count, width) = (call.inputTypes[1].shape.rows, call.inputTypes[1].shape.columns)
    let update = unsafe optimizer.update(call.floats(2))
    let first = unsafe optimizer.stateCount > 0 ? call.floats(3) : nil
    let second = unsafe optimizer.stateCount > 1 ? call.floats(4) : nil
    let kernels = unsafe call.kernels
    unsafe heads.update(repeating: -1, count: rows)
    // From the last to the first, so that the positions of an id come in their order.
    for position in stride(from: count - 1, through: 0, by: -1) {
      let id = Int(unsafe ids[position])
      unsafe nexts[position] = heads[id]
      unsafe heads[id] = Int32(position)
    }
    call.split(rows, grain: max(1, 8192 / max(1, width))) { part, thread in
      let sum = unsafe call.scratch(thread).assumingMemoryBound(to: Float.self)
      var rule = update
      for row in part {
        var position = Int(unsafe heads[row])
        if position < 0 && skips { continue }
        unsafe sum.update(repeating: 0, count: width)
        while position >= 0 {
          unsafe kernels.add(sum, dy + position * width, sum, Int64(width))
          position = Int(unsafe nexts[position])
        }
        let at = row * width
        unsafe kernels.optimizer_update(
          &rule,
          table + at,
          sum,
          first.map { unsafe $0 + at },
          second.map { unsafe $0 + at },
          Int64(width)
        )
      }
    }
  }
}
