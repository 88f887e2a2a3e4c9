// Apache-2.0.
import CKernels
import Glibc
public import Tensors

/// Losses −log softmax(x · Wᵀ + b)[label] by row, without a buffer of all logits.
public struct CrossEntropy: Operator {
  /// Name in printed plans.
  public static let name = "cross_entropy"

  let hasBias: Bool

  /// Losses [M] and predictions [M] of x [M, K], labels [M], W [N, K].
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let (x, labels, weight) = (inputs[0].shape, inputs[1], parameters[0])
    try require(
      weight.rank == 2 && weight[1] == x.columns,
      "a weight [classes, \(x.columns)], not \(weight)"
    )
    try require(
      labels.scalar == .integer && labels.shape.elementCount == x.rows,
      "\(x.rows) labels, not \(labels)"
    )
    if hasBias {
      try require(parameters[1] == [weight[0]], "a bias [\(weight[0])], not \(parameters[1])")
    }
    return [ValueType([x.rows]), ValueType([x.rows], .integer)]
  }

  /// 2·M·N·K for the logits, all rows counted, and four a logit.
  public func flops(_ inputs: [ValueType], _ parameters: [Shape]) -> Int {
    2 * inputs[0].shape.rows * (parameters[0].elementCount + 2 * parameters[0][0])
  }

  /// Tiles of logits.
  public func scratchBytes(_ inputs: [ValueType], _ parameters: [Shape], threads: Int) -> Int {
    let kernels = unsafe KernelTable.current.kernels.pointee
    return kernels.cross_entropy_scratch_bytes(
      Int64(inputs[0].shape.rows),
      Int64(parameters[0][0]),
      Int64(parameters[0][1])
    )
  }

  /// The definition; the prediction is the lowest index of the largest logit.
  public func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let logits = Linear(hasBias: hasBias, activation: .identity, hasResidual: false)
      .reference([inputs[0]], parameters)[0]
    var losses = ReferenceTensor(zeros: [logits.shape.rows])
    var predictions = ReferenceTensor([logits.shape.rows], losses.data.map { _ in -1 })
    for (row, label) in inputs[1].data.enumerated() where label >= 0 {
      let classes = 0..<logits.shape.columns
      let largest = classes.map { logits[row, $0] }.max() ?? 0
      let total = classes.reduce(0) { $0 + exp(logits[row, $1] - largest) }
      losses.data[row] = log(total) + largest - logits[row, Int(label)]
      predictions.data[row] = Double(classes.first { logits[row, $0] == largest } ?? -1)
    }
    return [losses, predictions]
  }

  /// One.
  public var panelLayouts: [PanelLayout] { [.linear] }

  /// Tasks are rows.
  public func run(_ call: KernelCall) {
    let rows = call.inputTypes[0].shape.rows
    let kernels = unsafe call.kernels
    var arguments = unsafe samara_cross_entropy_args()
    // SAFETY: shapes were checked when the node was made, labels by whoever set them; every task
    // writes rows of its own.
    let parameter = unsafe call.parameter(0)
    unsafe arguments.hidden = UnsafePointer(call.floats(0))
    unsafe arguments.hidden_stride = parameter.weight.columns
    unsafe arguments.weight = parameter.weight
    unsafe arguments.packed = parameter.panels(.linear)
    if hasBias { unsafe arguments.bias = call.parameter(1).vector }
    unsafe arguments.labels = UnsafePointer(call.integers(1))
    unsafe arguments.losses = call.result(0)
    unsafe arguments.predictions = call.integerResult(1)
    // Every task packs the whole weight, so there is one for each thread and no more.
    let size = max(16, ((rows + call.team.threadCount - 1) / call.team.threadCount + 15) / 16 * 16)
    call.team.run(tasks: (rows + size - 1) / size) { task, thread in
      var part = unsafe arguments
      unsafe part.m_begin = Int64(task * size)
      unsafe part.m_end = Int64(min(rows, (task + 1) * size))
      unsafe part.scratch = call.scratch(thread)
      unsafe kernels.cross_entropy(&part)
    }
  }
}
