// Apache-2.0.
import CKernels
import Glibc
public import Tensors

/// Scaled dot-product attention with grouped keys (Vaswani et al., 2017; Ainslie et al., 2023).
///
/// Keys past a sequence's length are not read. Outputs past it are zero, or computed like the others
/// where that is asked for.
public struct Attention: Operator {
  /// Name in printed plans.
  public static let name = "attention"

  let heads: Int
  let keyHeads: Int
  let headDimension: Int
  let isCausal: Bool
  let scale: Float
  let computesPadding: Bool

  /// `heads` query heads share `keyHeads` heads of keys and values; scale 1/√D unless given.
  public init(
    heads: Int,
    keyHeads: Int,
    headDimension: Int,
    isCausal: Bool,
    scale: Float? = nil,
    computesPadding: Bool = false
  ) {
    self.heads = heads
    self.keyHeads = keyHeads
    self.headDimension = headDimension
    self.isCausal = isCausal
    self.computesPadding = computesPadding
    self.scale = scale ?? 1 / Float(headDimension).squareRoot()
  }

  /// y as q; q [B·T, heads·D], k and v [B·T, keyHeads·D], lengths [B].
  public func outputs(
    _ inputs: [ValueType],
    _: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let (q, k, v, lengths) = (inputs[0].shape, inputs[1].shape, inputs[2].shape, inputs[3])
    try require(
      keyHeads > 0 && heads % keyHeads == 0,
      "\(heads) heads in groups over \(keyHeads) key heads"
    )
    try require(q.columns == heads * headDimension, "\(heads) heads of \(headDimension) in \(q)")
    try require(
      k == v && k.rows == q.rows && k.columns == keyHeads * headDimension,
      "keys and values [\(q.rows), \(keyHeads * headDimension)], not \(k) and \(v)"
    )
    let sequences = lengths.shape.elementCount
    try require(
      lengths.scalar == .integer && sequences > 0 && q.rows % sequences == 0,
      "one length a sequence, not \(lengths) for \(q.rows) rows"
    )
    return [inputs[0]]
  }

  private func positions(_ inputs: [ValueType]) -> Int {
    inputs[0].shape.rows / max(1, inputs[3].shape.elementCount)
  }

  /// Scores and weighted sum; half of them where causal.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    4 * inputs[0].shape.elementCount * positions(inputs) / (isCausal ? 2 : 1)
  }

  /// Scores of one head.
  public func scratchBytes(_ inputs: [ValueType], _: [Shape], threads: Int) -> Int {
    let kernels = unsafe KernelTable.current.kernels.pointee
    let positions = Int64(positions(inputs))
    return kernels.attention_scratch_bytes(positions, positions, Int64(headDimension))
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (q, k, v, lengths) = (inputs[0], inputs[1], inputs[2], inputs[3].data)
    let positions = q.shape.rows / lengths.count
    var y = ReferenceTensor(zeros: q.shape)
    for (sequence, length) in lengths.enumerated() {
      for head in 0..<heads {
        let queryColumn = head * headDimension
        let keyColumn = head / (heads / keyHeads) * headDimension
        for t in 0..<(computesPadding ? positions : Int(length)) {
          let row = sequence * positions + t
          let keys = 0..<(isCausal ? min(t + 1, Int(length)) : Int(length))
          let scores = keys.map { u in
            (0..<headDimension).reduce(0) { sum, i in
              sum + q[row, queryColumn + i] * k[sequence * positions + u, keyColumn + i]
            } * Double(scale)
          }
          let largest = scores.max() ?? 0
          let weights = scores.map { exp($0 - largest) }
          let total = weights.reduce(0, +)
          for i in 0..<headDimension {
            y[row, queryColumn + i] =
              keys.reduce(0) { $0 + weights[$1] * v[sequence * positions + $1, keyColumn + i] }
              / total
          }
        }
      }
    }
    return [y]
  }

  /// Tasks are pairs of sequence and head.
  public func run(_ call: KernelCall) {
    let positions = positions(call.inputTypes)
    let sequences = call.inputTypes[3].shape.elementCount
    let (queryWidth, keyWidth) = (heads * headDimension, keyHeads * headDimension)
    let kernels = unsafe call.kernels
    // SAFETY: shapes were checked when the node was made; every task writes columns of its own.
    let (q, k, v, y) = unsafe (call.floats(0), call.floats(1), call.floats(2), call.result())
    let lengths = unsafe call.integers(3)
    call.team.run(tasks: sequences * heads) { task, thread in
      let (sequence, head) = (task / heads, task % heads)
      let length = unsafe max(0, min(Int(lengths[sequence]), positions))
      let query = sequence * positions * queryWidth + head * headDimension
      let key =
        sequence * positions * keyWidth + head / (heads / keyHeads) * headDimension
      var arguments = unsafe samara_attention_args()
      unsafe arguments.query = UnsafePointer(q + query)
      unsafe arguments.key = UnsafePointer(k + key)
      unsafe arguments.value = UnsafePointer(v + key)
      unsafe arguments.output = y + query
      unsafe arguments.query_stride = Int64(queryWidth)
      unsafe arguments.key_stride = Int64(keyWidth)
      unsafe arguments.value_stride = Int64(keyWidth)
      unsafe arguments.output_stride = Int64(queryWidth)
      let queries = computesPadding && length > 0 ? positions : length
      unsafe arguments.query_count = Int64(queries)
      unsafe arguments.key_length = Int64(length)
      unsafe arguments.head_dimension = Int64(headDimension)
      unsafe arguments.causal = isCausal ? 1 : 0
      unsafe arguments.scale = scale
      unsafe arguments.scratch = call.scratch(thread)
      if length > 0 { unsafe kernels.attention(&arguments) }
      for t in queries..<positions {
        unsafe (y + query + t * queryWidth).update(repeating: 0, count: headDimension)
      }
    }
  }
}

/// Rotary positions (Su et al., 2021): element i of a head pairs with i + D/2.
public struct Rotary: Operator {
  /// Name in printed plans.
  public static let name = "rotary"

  let headDimension: Int

  /// y as x [B·T, heads·D]; tables [T, D/2].
  public func outputs(
    _ inputs: [ValueType],
    _: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let (x, cosines) = (inputs[0].shape, inputs[1].shape)
    try require(
      headDimension > 0 && headDimension % 2 == 0 && x.columns % headDimension == 0,
      "heads of an even number of columns in \(x), not of \(headDimension)"
    )
    try require(
      cosines == inputs[2].shape && cosines.columns == headDimension / 2 && cosines.rows > 0
        && x.rows % cosines.rows == 0,
      "tables [positions, \(headDimension / 2)], not \(cosines) and \(inputs[2])"
    )
    return [inputs[0]]
  }

  /// In place.
  public var overwritableInputs: [Int] { [0] }

  /// Three an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    3 * inputs[0].shape.elementCount
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    var y = inputs[0]
    let half = headDimension / 2
    let positions = inputs[1].shape.rows
    for row in 0..<y.shape.rows {
      for head in stride(from: 0, to: y.shape.columns, by: headDimension) {
        for i in 0..<half {
          let (c, s) = (inputs[1][row % positions, i], inputs[2][row % positions, i])
          let (low, high) = (inputs[0][row, head + i], inputs[0][row, head + half + i])
          y[row, head + i] = low * c - high * s
          y[row, head + half + i] = high * c + low * s
        }
      }
    }
    return [y]
  }

  /// Tasks are rows of positions, in each sequence.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; parts are disjoint rows.
    let (x, y) = unsafe (call.floats(0), call.result())
    let (cosines, sines) = unsafe (call.floats(1), call.floats(2))
    let (rows, width) = (call.outputTypes[0].shape.rows, call.outputTypes[0].shape.columns)
    let positions = call.inputTypes[1].shape.rows
    let kernels = unsafe call.kernels
    let inPlace = unsafe x == y
    call.split(rows, grain: 16) { part, _ in
      if !inPlace {
        let at = part.lowerBound * width
        unsafe (y + at).update(from: x + at, count: part.count * width)
      }
      var row = part.lowerBound
      while row < part.upperBound {
        let position = row % positions
        let count = min(positions - position, part.upperBound - row)
        unsafe kernels.rotary(
          y + row * width,
          Int64(count),
          Int64(width),
          Int64(width / headDimension),
          Int64(headDimension),
          cosines + position * headDimension / 2,
          sines + position * headDimension / 2
        )
        row += count
      }
    }
  }
}
