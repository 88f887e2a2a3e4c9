// Apache-2.0.
import CKernels
import Glibc
public import Tensors

extension Attention: DifferentiableOperator {
  /// Probabilities are computed again.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient() else { return }
    let made = try backward.apply(AttentionGradient(of: self), backward.node.inputs + [dy])
    for position in 0..<3 { try backward.add(input: position, made[position]) }
  }
}

/// dq, dk and dv of `Attention`.
public struct AttentionGradient: Operator {
  /// Name in printed plans.
  public static let name = "attention_gradient"

  private let forward: Attention

  init(of forward: Attention) { self.forward = forward }

  /// dq as q, dk and dv as k and v, of q, k, v, lengths and dy.
  public func outputs(
    _ inputs: [ValueType],
    _: [Shape]
  ) throws(GraphError) -> [ValueType] {
    try require(inputs[4] == inputs[0], "a gradient as q, not \(inputs[4])")
    return Array(inputs[0..<3])
  }

  private func positions(_ inputs: [ValueType]) -> Int {
    inputs[0].shape.rows / max(1, inputs[3].shape.elementCount)
  }

  /// Five products of the size of the two in the forward half; half of them where causal.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    10 * inputs[0].shape.elementCount * positions(inputs) / (forward.isCausal ? 2 : 1)
  }

  /// Probabilities of one head and their gradients.
  public func scratchBytes(_ inputs: [ValueType], _: [Shape], threads: Int) -> Int {
    let kernels = unsafe KernelTable.current.kernels.pointee
    let positions = Int64(positions(inputs))
    return kernels.attention_gradient_scratch_bytes(
      positions,
      positions,
      Int64(forward.headDimension)
    )
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (q, k, v, lengths, dy) = (inputs[0], inputs[1], inputs[2], inputs[3].data, inputs[4])
    let (size, scale) = (forward.headDimension, Double(forward.scale))
    let positions = q.shape.rows / lengths.count
    var (dq, dk, dv) = (
      ReferenceTensor(zeros: q.shape), ReferenceTensor(zeros: k.shape),
      ReferenceTensor(zeros: v.shape)
    )
    for (sequence, length) in lengths.enumerated() {
      for head in 0..<forward.heads {
        let at = head * size
        let keyAt = head / (forward.heads / forward.keyHeads) * size
        for t in 0..<(forward.computesPadding ? positions : Int(length)) {
          let row = sequence * positions + t
          let keys = (0..<(forward.isCausal ? min(t + 1, Int(length)) : Int(length)))
            .map { sequence * positions + $0 }
          func dot(_ a: ReferenceTensor, _ b: ReferenceTensor, _ key: Int) -> Double {
            (0..<size).reduce(0) { $0 + a[row, at + $1] * b[key, keyAt + $1] }
          }
          let scores = keys.map { dot(q, k, $0) * scale }
          let largest = scores.max() ?? 0
          let weights = scores.map { exp($0 - largest) }
          let total = weights.reduce(0, +)
          let gradients = keys.map { dot(dy, v, $0) }
          let mean = zip(weights, gradients).reduce(0) { $0 + $1.0 * $1.1 } / total
          for (index, key) in keys.enumerated() {
            let probability = weights[index] / total
            let score = probability * (gradients[index] - mean) * scale
            for i in 0..<size {
              dv[key, keyAt + i] += probability * dy[row, at + i]
              dq[row, at + i] += score * k[key, keyAt + i]
              dk[key, keyAt + i] += score * q[row, at + i]
            }
          }
        }
      }
    }
    return [dq, dk, dv]
  }

  /// Tasks are pairs of sequence and head of keys.
  public func run(_ call: KernelCall) {
    let positions = positions(call.inputTypes)
    let sequences = call.inputTypes[3].shape.elementCount
    let (size, keyHeads) = (forward.headDimension, forward.keyHeads)
    let group = forward.heads / keyHeads
    let (queryWidth, keyWidth) = (forward.heads * size, keyHeads * size)
    let kernels = unsafe call.kernels
    // SAFETY: shapes were checked when the node was made; every task writes columns of its own.
    let (q, k, v) = unsafe (call.floats(0), call.floats(1), call.floats(2))
    let (lengths, dy) = unsafe (call.integers(3), call.floats(4))
    let (dq, dk, dv) = unsafe (call.result(0), call.result(1), call.result(2))
    call.team.run(tasks: sequences * keyHeads) { task, thread in
      let (sequence, head) = (task / keyHeads, task % keyHeads)
      let length = unsafe max(0, min(Int(lengths[sequence]), positions))
      let queries = forward.computesPadding && length > 0 ? positions : length
      let query = sequence * positions * queryWidth + head * group * size
      let key = sequence * positions * keyWidth + head * size
      var arguments = unsafe samara_attention_gradient_args()
      unsafe arguments.query = UnsafePointer(q + query)
      unsafe arguments.key = UnsafePointer(k + key)
      unsafe arguments.value = UnsafePointer(v + key)
      unsafe arguments.output_gradient = UnsafePointer(dy + query)
      unsafe arguments.query_gradient = dq + query
      unsafe arguments.key_gradient = dk + key
      unsafe arguments.value_gradient = dv + key
      unsafe arguments.query_stride = Int64(queryWidth)
      unsafe arguments.output_gradient_stride = Int64(queryWidth)
      unsafe arguments.query_gradient_stride = Int64(queryWidth)
      unsafe arguments.key_stride = Int64(keyWidth)
      unsafe arguments.value_stride = Int64(keyWidth)
      unsafe arguments.key_gradient_stride = Int64(keyWidth)
      unsafe arguments.value_gradient_stride = Int64(keyWidth)
      unsafe arguments.heads = Int64(group)
      unsafe arguments.head_stride = Int64(size)
      unsafe arguments.query_count = Int64(queries)
      unsafe arguments.key_length = Int64(length)
      unsafe arguments.key_count = Int64(positions)
      unsafe arguments.head_dimension = Int64(size)
      unsafe arguments.causal = forward.isCausal ? 1 : 0
      unsafe arguments.scale = forward.scale
      unsafe arguments.scratch = call.scratch(thread)
      unsafe kernels.attention_gradient(&arguments)
      for t in queries..<positions {
        unsafe (dq + query + t * queryWidth).update(repeating: 0, count: group * size)
      }
    }
  }
}

extension Rotary: DifferentiableOperator {
  /// The rotation back: the same with the sines negated.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient() else { return }
    let inputs = backward.node.inputs
    let sines = try backward.constant(negated: inputs[2])
    try backward.add(input: 0, backward.apply(self, [dy, inputs[1], sines])[0])
  }
}
