// Apache-2.0.
import CKernels
public import Tensors

/// Causal attention of new positions to those before them, whose keys and values are kept in states.
///
/// Keys and values of new positions are written to the cache behind those of the past; a query sees
/// the past and the new positions up to its own. Outputs past a sequence's new positions are zero.
public struct CachedAttention: Operator {
  /// Name in printed plans.
  public static let name = "cached_attention"

  let attention: Attention
  let capacity: Int

  /// Attention over at most `capacity` positions a sequence.
  public init(_ attention: Attention, capacity: Int) {
    self.attention = attention
    self.capacity = capacity
  }

  private var queryWidth: Int { attention.heads * attention.headDimension }
  private var keyWidth: Int { attention.keyHeads * attention.headDimension }

  /// y as q; q [B·T, heads·D], k and v [B·T, keyHeads·D], new positions [B], past positions [B],
  /// cached keys and values [B·capacity, keyHeads·D].
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let made = try attention.outputs(Array(inputs[..<4]), parameters)
    try require(attention.isCausal, "causal attention: what came later changes nothing before it")
    let sequences = inputs[3].shape.elementCount
    try require(inputs[4] == inputs[3], "past positions \(inputs[3]), not \(inputs[4])")
    try require(
      inputs[5] == inputs[6] && inputs[5].shape.rows == sequences * capacity
        && inputs[5].shape.columns == keyWidth,
      "a cache [\(sequences * capacity), \(keyWidth)], not \(inputs[5]) and \(inputs[6])"
    )
    return made
  }

  /// Changes the cache.
  public var hasEffect: Bool { true }

  /// Scores and weighted sum over a full cache.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    4 * inputs[0].shape.elementCount * capacity
  }

  /// Scores of one head.
  public func scratchBytes(_ inputs: [ValueType], _: [Shape], threads _: Int) -> Int {
    let kernels = unsafe KernelTable.current.kernels.pointee
    let positions = Int64(inputs[0].shape.rows / max(1, inputs[3].shape.elementCount))
    return kernels.attention_scratch_bytes(
      positions,
      Int64(capacity),
      Int64(attention.headDimension)
    )
  }

  /// The definition: attention of the whole sequence, of which the new positions are kept.
  public func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    var states = inputs
    referenceAppend(&states)
    let sequences = inputs[3].data.count
    let positions = inputs[0].shape.rows / sequences
    var queries = ReferenceTensor(zeros: [sequences * capacity, queryWidth])
    var y = ReferenceTensor(zeros: inputs[0].shape)
    func eachNewRow(_ body: (_ row: Int, _ cached: Int) -> Void) {
      for sequence in 0..<sequences {
        for t in 0..<Int(inputs[3].data[sequence]) {
          body(sequence * positions + t, sequence * capacity + Int(inputs[4].data[sequence]) + t)
        }
      }
    }
    eachNewRow { row, cached in
      for column in 0..<queryWidth { queries[cached, column] = inputs[0][row, column] }
    }
    let ends = zip(inputs[3].data, inputs[4].data).map { $0 + $1 }
    let lengths = ReferenceTensor([sequences], ends)
    let whole = attention.reference([queries, states[5], states[6], lengths], parameters)[0]
    eachNewRow { row, cached in
      for column in 0..<queryWidth { y[row, column] = whole[cached, column] }
    }
    return [y]
  }

  /// The cache with the new keys and values.
  public func referenceEffect(_ inputs: inout [ReferenceTensor], _: inout [ReferenceTensor]) {
    referenceAppend(&inputs)
  }

  private func referenceAppend(_ inputs: inout [ReferenceTensor]) {
    let sequences = inputs[3].data.count
    let positions = inputs[0].shape.rows / sequences
    for sequence in 0..<sequences {
      for t in 0..<Int(inputs[3].data[sequence]) {
        let cached = sequence * capacity + Int(inputs[4].data[sequence]) + t
        for column in 0..<keyWidth {
          inputs[5][cached, column] = inputs[1][sequence * positions + t, column]
          inputs[6][cached, column] = inputs[2][sequence * positions + t, column]
        }
      }
    }
  }

  /// The cache first, then tasks that are pairs of sequence and head.
  public func run(_ call: KernelCall) {
    let sequences = call.inputTypes[3].shape.elementCount
    let positions = call.inputTypes[0].shape.rows / sequences
    let kernels = unsafe call.kernels
    // SAFETY: shapes were checked when the node was made; counts are bounded here, so that rows stay
    // within a sequence's part of the cache; every task writes columns of its own.
    let (q, y) = unsafe (call.floats(0), call.result())
    let (keys, values) = unsafe (call.floats(5), call.floats(6))
    func counts(_ sequence: Int) -> (past: Int, new: Int) {
      let past = unsafe max(0, min(Int(call.integers(4)[sequence]), capacity))
      let new = unsafe max(0, min(Int(call.integers(3)[sequence]), positions))
      return (past, min(new, capacity - past))
    }
    for sequence in 0..<sequences {
      let (past, new) = counts(sequence)
      let (from, to) = (sequence * positions * keyWidth, (sequence * capacity + past) * keyWidth)
      unsafe (keys + to).update(from: call.floats(1) + from, count: new * keyWidth)
      unsafe (values + to).update(from: call.floats(2) + from, count: new * keyWidth)
    }
    let (heads, dimension) = (attention.heads, attention.headDimension)
    call.team.run(tasks: sequences * heads) { task, thread in
      let (sequence, head) = (task / heads, task % heads)
      let (past, new) = counts(sequence)
      let query = sequence * positions * queryWidth + head * dimension
      let key =
        sequence * capacity * keyWidth + head / (heads / attention.keyHeads) * dimension
      var arguments = unsafe samara_attention_args()
      unsafe arguments.key = UnsafePointer(keys + key)
      unsafe arguments.value = UnsafePointer(values + key)
      unsafe arguments.query_stride = Int64(queryWidth)
      unsafe arguments.key_stride = Int64(keyWidth)
      unsafe arguments.value_stride = Int64(keyWidth)
      unsafe arguments.output_stride = Int64(queryWidth)
      unsafe arguments.head_dimension = Int64(dimension)
      unsafe arguments.scale = attention.scale
      unsafe arguments.scratch = call.scratch(thread)
      // The kernel counts causal queries from position 0; behind a past each is asked alone.
      for t in stride(from: 0, to: new, by: past == 0 ? max(1, new) : 1) {
        unsafe arguments.query = UnsafePointer(q + query + t * queryWidth)
        unsafe arguments.output = y + query + t * queryWidth
        unsafe arguments.query_count = past == 0 ? Int64(new) : 1
        unsafe arguments.key_length = past == 0 ? Int64(new) : Int64(past + t + 1)
        unsafe arguments.causal = past == 0 ? 1 : 0
        unsafe kernels.attention(&arguments)
      }
      for t in new..<positions {
        unsafe (y + query + t * queryWidth).update(repeating: 0, count: dimension)
      }
    }
  }
}
