// Apache-2.0.
import CKernels
import Glibc
public import Tensors

extension CrossEntropy: DifferentiableOperator {
  /// One operator makes losses and gradients from the same logits; the forward node is left without
  /// readers and disappears.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient() else { return }
    let node = backward.node
    let operation = CrossEntropyGradient(
      hasBias: hasBias,
      wantsInput: backward.wants(input: 0),
      wantsWeight: backward.wants(parameter: 0),
      wantsBias: hasBias && backward.wants(parameter: 1)
    )
    let made = try backward.apply(operation, node.inputs + [dy], node.parameters)
    backward.replace(output: 0, by: made[0])
    backward.replace(output: 1, by: made[1])
    var rest = made.dropFirst(3)
    if operation.wantsInput { try backward.add(input: 0, rest.removeFirst()) }
    if operation.wantsWeight { try backward.add(parameter: 0, rest.removeFirst()) }
    if operation.wantsBias { try backward.add(parameter: 1, rest.removeFirst()) }
  }
}

/// Losses, predictions and gradients of x · Wᵀ + b against labels, by chunks of rows.
public struct CrossEntropyGradient: Operator {
  /// Name in printed plans.
  public static let name = "cross_entropy_gradient"

  let hasBias: Bool
  let wantsInput: Bool
  let wantsWeight: Bool
  let wantsBias: Bool

  /// Rows whose logits exist at a time: few, so that they are small beside the rest, but enough that
  /// the gradient of a large table is not read and written all the time.
  static func chunkRows(_ rows: Int, classes: Int) -> Int {
    min(rows, max(128, (1 << 21) / max(1, classes) / 64 * 64))
  }

  /// Losses [M], predictions [M], a chunk of logits, then what is wanted of dx [M, K], dW [N, K] and
  /// db [N]; of x [M, K], labels [M] and the gradients of the losses [M].
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let forward = CrossEntropy(hasBias: hasBias)
    let made = try forward.outputs(Array(inputs[0..<2]), parameters)
    try require(inputs[2] == made[0], "a gradient \(made[0]), not \(inputs[2])")
    let (rows, classes) = (inputs[0].shape.rows, parameters[0][0])
    let chunk = ValueType([Self.chunkRows(rows, classes: classes), classes])
    return made + [chunk] + (wantsInput ? [inputs[0]] : [])
      + (wantsWeight ? [ValueType(parameters[0])] : [])
      + (wantsBias ? [ValueType([classes])] : [])
  }

  /// Logits, and the gradient of the input.
  public var panelLayouts: [PanelLayout] { wantsInput ? [.parts, .inputGradient] : [.parts] }

  /// 2·M·N·K for the logits and for each gradient, all rows counted, and four a logit.
  public func flops(_ inputs: [ValueType], _ parameters: [Shape]) -> Int {
    let product = 2 * inputs[0].shape.rows * parameters[0].elementCount
    return product * (1 + (wantsInput ? 1 : 0) + (wantsWeight ? 1 : 0))
      + 4 * inputs[0].shape.rows * parameters[0][0]
  }

  /// What the products of a chunk take.
  public func scratchBytes(_ inputs: [ValueType], _ parameters: [Shape], threads: Int) -> Int {
    let kernels = unsafe KernelTable.current.kernels.pointee
    let classes = Int64(parameters[0][0])
    let width = Int64(parameters[0][1])
    let rows = Int64(Self.chunkRows(inputs[0].shape.rows, classes: parameters[0][0]))
    return max(
      kernels.linear_scratch_bytes(rows, classes, width),
      kernels.linear_input_gradient_scratch_bytes(rows, classes, width),
      kernels.linear_weight_gradient_scratch_bytes(rows, classes, width)
    )
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (x, labels) = (inputs[0], inputs[1].data)
    let forward = CrossEntropy(hasBias: hasBias).reference([x, inputs[1]], parameters)
    var dy = Linear(hasBias: hasBias, activation: .identity, hasResidual: false)
      .reference([x], parameters)[0]
    let classes = dy.shape.columns
    for (row, label) in labels.enumerated() {
      let logits = (0..<classes).map { dy[row, $0] }
      let largest = logits.max() ?? 0
      let total = logits.reduce(0) { $0 + exp($1 - largest) }
      for column in 0..<classes {
        let hit = Double(column == Int(label) ? 1 : 0)
        let slope = exp(logits[column] - largest) / total - hit
        dy[row, column] = label < 0 ? 0 : inputs[2].data[row] * slope
      }
    }
    let chunk = ReferenceTensor(zeros: [Self.chunkRows(x.shape.rows, classes: classes), classes])
    let dx = LinearInputGradient(hasSum: false).reference([dy], [parameters[0]])
    let dw = LinearWeightGradient(hasSum: false).reference([x, dy], [])
    let db = ColumnSums().reference([dy], [])
    return forward + [chunk] + (wantsInput ? dx : []) + (wantsWeight ? dw : [])
      + (wantsBias ? db : [])
  }

  /// Chunk by chunk of rows with labels: logits, their gradients in place, the products with them.
  ///
  /// Longer runs of rows without labels take part in nothing.
  public func run(_ call: KernelCall) {
    let (rows, width) = (call.inputTypes[0].shape.rows, call.inputTypes[0].shape.columns)
    let chunk = call.outputTypes[2].shape
    var done = 0
    var isFirst = true
    while let counted = Self.counted(call, from: done, rows: rows, limit: chunk.rows) {
      clear(call, done..<counted.lowerBound)
      done = counted.upperBound
      let part = Chunk(
        call: call,
        first: counted.lowerBound,
        rows: counted.count,
        classes: chunk.columns,
        width: width,
        isFirst: isFirst
      )
      isFirst = false
      part.logits(hasBias: hasBias)
      part.losses()
      if wantsInput { part.inputGradient(3) }
      if wantsWeight { part.weightGradient(weightOutput) }
      if wantsBias { part.biasGradient(weightOutput + (wantsWeight ? 1 : 0)) }
    }
    clear(call, done..<rows)
    guard isFirst else { return }
    for output in weightOutput..<call.outputTypes.count {
      // SAFETY: as many elements as the output has.
      unsafe call.result(output)
        .update(repeating: 0, count: call.outputTypes[output].shape.elementCount)
    }
  }

  private var weightOutput: Int { wantsInput ? 4 : 3 }

  /// So many rows without labels end a chunk.
  private static let gap = 64

  /// The next rows to take together: the first and last have labels.
  private static func counted(
    _ call: KernelCall,
    from start: Int,
    rows: Int,
    limit: Int
  ) -> Range<Int>? {
    // SAFETY: there is a label for each row.
    let labels = unsafe call.integers(1)
    var first = start
    while first < rows, unsafe labels[first] < 0 { first += 1 }
    guard first < rows else { return nil }
    var end = first + 1
    for row in first + 1..<max(first + 1, min(rows, first + limit)) {
      if unsafe labels[row] >= 0 { end = row + 1 }
      if row - end >= gap { break }
    }
    return first..<end
  }

  /// What rows without labels have: no loss, no prediction, no gradient.
  private func clear(_ call: KernelCall, _ rows: Range<Int>) {
    guard !rows.isEmpty else { return }
    let width = call.inputTypes[0].shape.columns
    // SAFETY: rows of outputs that have one for each row of the input.
    unsafe (call.result(0) + rows.lowerBound).update(repeating: 0, count: rows.count)
    unsafe (call.integerResult(1) + rows.lowerBound).update(repeating: -1, count: rows.count)
    guard wantsInput else { return }
    unsafe (call.result(3) + rows.lowerBound * width)
      .update(repeating: 0, count: rows.count * width)
  }
}

/// Some rows of a `CrossEntropyGradient` at work.
private struct Chunk {
  // SAFETY of all below: shapes were checked when the node was made, labels by whoever set them;
  // tiles and parts of one phase are disjoint, and a phase ends before the next begins.
  let call: KernelCall
  let first: Int
  let rows: Int
  let classes: Int
  let width: Int
  /// Whether no chunk came before it.
  let isFirst: Bool

  func logits(hasBias: Bool) {
    let parameter = unsafe call.parameter(0)
    var arguments = unsafe samara_linear_args()
    unsafe arguments.input = UnsafePointer(call.floats(0) + first * width)
    unsafe arguments.input_stride = Int64(width)
    unsafe arguments.weight = parameter.weight
    unsafe arguments.packed = parameter.panels(.parts)
    if hasBias { unsafe arguments.bias = call.parameter(1).vector }
    unsafe arguments.output = call.result(2)
    unsafe arguments.output_stride = Int64(classes)
    unsafe arguments.by_parts = 1
    unsafe call.linear(arguments, rows: rows, columns: classes)
  }

  func losses() {
    let kernels = unsafe call.kernels
    var arguments = unsafe samara_logits_gradient_args()
    unsafe arguments.logits_stride = Int64(classes)
    unsafe arguments.loss_gradient = 1
    unsafe arguments.columns = Int64(classes)
    let (logits, labels, gradients) = unsafe (call.result(2), call.integers(1), call.floats(2))
    let (losses, predictions) = unsafe (call.result(0), call.integerResult(1))
    call.split(rows, grain: max(1, 8192 / max(1, classes))) { part, _ in
      var piece = unsafe arguments
      let row = first + part.lowerBound
      unsafe piece.logits = logits + part.lowerBound * classes
      unsafe piece.labels = UnsafePointer(labels + row)
      unsafe piece.loss_gradients = UnsafePointer(gradients + row)
      unsafe piece.losses = losses + row
      unsafe piece.predictions = predictions + row
      unsafe piece.rows = Int64(part.count)
      unsafe kernels.logits_gradient(&piece)
    }
  }

  func inputGradient(_ output: Int) {
    var arguments = unsafe samara_linear_input_gradient_args()
    unsafe arguments.output_gradient = UnsafePointer(call.result(2))
    unsafe arguments.output_gradient_stride = Int64(classes)
    unsafe arguments.weight = call.parameter(0).weight
    unsafe arguments.packed = call.parameter(0).panels(.inputGradient)
    unsafe arguments.input_gradient = call.result(output) + first * width
    unsafe arguments.input_gradient_stride = Int64(width)
    unsafe call.linearInputGradient(arguments, rows: rows, columns: width)
  }

  func weightGradient(_ output: Int) {
    var arguments = unsafe samara_linear_weight_gradient_args()
    unsafe arguments.output_gradient = UnsafePointer(call.result(2))
    unsafe arguments.output_gradient_stride = Int64(classes)
    unsafe arguments.input = UnsafePointer(call.floats(0) + first * width)
    unsafe arguments.input_stride = Int64(width)
    unsafe arguments.rows = Int64(rows)
    unsafe arguments.accumulate = isFirst ? 0 : 1
    unsafe arguments.gradient = call.result(output)
    unsafe arguments.gradient_stride = Int64(width)
    unsafe call.linearWeightGradient(arguments, rows: classes, columns: width)
  }

  func biasGradient(_ output: Int) {
    let kernels = unsafe call.kernels
    let (logits, sums) = unsafe (call.result(2), call.result(output))
    call.split(classes, grain: max(16, (1 << 15) / max(1, rows) / 16 * 16)) { part, _ in
      unsafe kernels.column_sums(
        logits + part.lowerBound,
        Int64(classes),
        Int64(rows),
        Int64(part.count),
        sums + part.lowerBound,
        isFirst ? 0 : 1
      )
    }
  }
}
