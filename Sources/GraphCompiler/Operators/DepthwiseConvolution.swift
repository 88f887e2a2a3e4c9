// Apache-2.0.
import CKernels
public import Tensors

/// Each channel of images by a window of its own, and an activation that its result tells the
/// derivative of.
public struct DepthwiseConvolution: DifferentiableOperator {
  /// Name in printed plans.
  public static let name = "depthwise"
  /// The largest window that kernels take.
  public static let largestSize = 7

  let window: Window
  let hasBias: Bool
  var activation = Activation.identity

  /// y [B·OH·OW, C] of x [B·H·W, C], W [C, 1, size, size] and b [C].
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let (x, weight) = (inputs[0].shape, parameters[0])
    try require(
      window.isValid && window.size <= Self.largestSize && x.rows % window.pixels == 0,
      "images of \(window.height)×\(window.width) pixels, not \(x), under at most 7×7"
    )
    try require(
      weight == [x.columns, 1, window.size, window.size],
      "a window of \(window.size)×\(window.size) for each of \(x.columns) channels, not \(weight)"
    )
    if hasBias { try require(parameters[1] == [x.columns], "a bias, not \(parameters[1])") }
    return [ValueType([x.rows / window.pixels * window.outputPixels, x.columns])]
  }

  /// 2·size² an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    let images = inputs[0].shape.rows / window.pixels
    return 2 * window.area * images * window.outputPixels * inputs[0].shape.columns
  }

  /// The weight as the kernel reads it.
  public func scratchBytes(_ inputs: [ValueType], _: [Shape], threads _: Int) -> Int {
    window.scratchBytes(channels: inputs[0].shape.columns)
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (x, weight) = (inputs[0], parameters[0])
    let (images, channels) = (x.shape.rows / window.pixels, x.shape.columns)
    var y = ReferenceTensor(zeros: [images * window.outputPixels, channels])
    if hasBias {
      for index in y.data.indices { y.data[index] = parameters[1].data[index % channels] }
    }
    window.forEach(images: images) { output, input, place in
      for c in 0..<channels { y[output, c] += x[input, c] * weight.data[c * window.area + place] }
    }
    y.data = y.data.map(activation.reference)
    return [y]
  }

  /// Tasks are rows of pixels.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; parts are disjoint rows.
    let channels = call.inputTypes[0].shape.columns
    let kernels = unsafe call.kernels
    var arguments = unsafe samara_depthwise_args()
    unsafe arguments.window = window.kernelWindow(channels: channels)
    unsafe arguments.weight = call.windows(area: window.area)
    if hasBias { unsafe arguments.bias = call.parameter(1).vector }
    unsafe arguments.activation = activation.rawValue
    let (x, y) = unsafe (call.floats(0), call.result())
    call.splitRows(
      images: call.inputTypes[0].shape.rows / window.pixels,
      rows: window.outputHeight
    ) { image, rows, thread in
      var part = unsafe arguments
      unsafe part.input = UnsafePointer(x + image * window.pixels * channels)
      unsafe part.output = y + image * window.outputPixels * channels
      unsafe part.row_begin = Int64(rows.lowerBound)
      unsafe part.row_end = Int64(rows.upperBound)
      unsafe part.scratch = call.scratch(thread)
      unsafe kernels.depthwise(&part)
    }
  }

  /// dx, dW and, by sums over pixels, db.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard var dy = backward.outputGradient() else { return }
    let node = backward.node
    if activation != .identity {
      try require(activation.isKnownByResult, "an activation of its own where gradients pass")
      dy = try backward.apply(
        ActivationGradient(activation: activation),
        [node.outputs[0], dy]
      )[0]
    }
    try backward.add(input: 0) { (backward, sum) throws(GraphError) in
      try backward.apply(
        DepthwiseInputGradient(window: window, hasSum: sum != nil),
        [dy] + (sum.map { [$0] } ?? []),
        [node.parameters[0]]
      )[0]
    }
    try backward.add(parameter: 0) { (backward, sum) throws(GraphError) in
      try backward.apply(
        DepthwiseWeightGradient(window: window, hasSum: sum != nil),
        [node.inputs[0], dy] + (sum.map { [$0] } ?? [])
      )[0]
    }
    if hasBias { try backward.add(parameter: 1, backward.apply(ColumnSums(), [dy])[0]) }
  }
}

extension Window {
  func scratchBytes(channels: Int) -> Int {
    let kernels = unsafe KernelTable.current.kernels.pointee
    return kernels.depthwise_scratch_bytes(Int64(channels), Int64(size))
  }
}

extension KernelCall {
  /// The first parameter with a row for each channel.
  @unsafe fileprivate func windows(area: Int) -> samara_weight {
    var weight = unsafe parameter(0).weight
    unsafe weight.rows = weight.rows * weight.columns / Int64(area)
    unsafe weight.columns = Int64(area)
    unsafe weight.row_stride = Int64(area)
    return unsafe weight
  }
}

/// dx of a `DepthwiseConvolution` on top of a sum, or times activation′(x) where x is the result of an
/// activation that tells it.
public struct DepthwiseInputGradient: Operator {
  /// Name in printed plans.
  public static let name = "depthwise_input_gradient"

  let window: Window
  let hasSum: Bool
  /// The activation whose result is read in place of a sum.
  var activation = Activation.identity

  private var reads: Bool { hasSum || activation != .identity }

  /// dx [B·H·W, C] of dy [B·OH·OW, C], W [C, 1, size, size].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    let dy = inputs[0].shape
    try require(dy.rows % window.outputPixels == 0, "gradients of whole images, not \(dy)")
    let type = ValueType([dy.rows / window.outputPixels * window.pixels, dy.columns])
    try require(!hasSum || activation == .identity, "a sum or an activation, not both")
    if reads { try require(inputs[1] == type, "a second operand \(type), not \(inputs[1])") }
    return [type]
  }

  /// The sum: each element is read just before it is written.
  public var overwritableInputs: [Int] { hasSum ? [1] : [] }

  /// 2·size² an element of dy.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    2 * window.area * inputs[0].shape.elementCount
  }

  /// The weight as the kernel reads it.
  public func scratchBytes(_ inputs: [ValueType], _: [Shape], threads _: Int) -> Int {
    window.scratchBytes(channels: inputs[0].shape.columns)
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (dy, weight) = (inputs[0], parameters[0])
    let (images, channels) = (dy.shape.rows / window.outputPixels, dy.shape.columns)
    var dx = hasSum ? inputs[1] : ReferenceTensor(zeros: [images * window.pixels, channels])
    window.forEach(images: images) { output, input, place in
      for c in 0..<channels {
        dx[input, c] += dy[output, c] * weight.data[c * window.area + place]
      }
    }
    if activation != .identity {
      for index in dx.data.indices {
        dx.data[index] *= activation.derivative(inputs[1].data[index])
      }
    }
    return [dx]
  }

  /// Tasks are rows of pixels.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; parts are disjoint rows.
    let channels = call.inputTypes[0].shape.columns
    let kernels = unsafe call.kernels
    var arguments = unsafe samara_depthwise_input_gradient_args()
    unsafe arguments.window = window.kernelWindow(channels: channels)
    unsafe arguments.weight = call.windows(area: window.area)
    let (dy, dx) = unsafe (call.floats(0), call.result())
    let second = unsafe reads ? call.floats(1) : nil
    unsafe arguments.activation = activation.rawValue
    call.splitRows(
      images: call.inputTypes[0].shape.rows / window.outputPixels,
      rows: window.height
    ) { image, rows, thread in
      var part = unsafe arguments
      let place = image * window.pixels * channels
      unsafe part.output_gradient = UnsafePointer(dy + image * window.outputPixels * channels)
      let operand = unsafe second.map { unsafe UnsafePointer($0 + place) }
      if hasSum { unsafe part.residual = operand } else { unsafe part.saved = operand }
      unsafe part.input_gradient = dx + place
      unsafe part.row_begin = Int64(rows.lowerBound)
      unsafe part.row_end = Int64(rows.upperBound)
      unsafe part.scratch = call.scratch(thread)
      unsafe kernels.depthwise_input_gradient(&part)
    }
  }
}

/// dW of a `DepthwiseConvolution`, on top of a sum.
public struct DepthwiseWeightGradient: Operator {
  /// Name in printed plans.
  public static let name = "depthwise_weight_gradient"

  let window: Window
  let hasSum: Bool

  /// dW [C, 1, size, size] of x [B·H·W, C], dy [B·OH·OW, C].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    let (x, dy) = (inputs[0].shape, inputs[1].shape)
    try require(
      x.columns == dy.columns && x.rows % window.pixels == 0
        && x.rows / window.pixels * window.outputPixels == dy.rows,
      "images and gradients of their results, not \(x) and \(dy)"
    )
    let type = ValueType([x.columns, 1, window.size, window.size])
    if hasSum { try require(inputs[2] == type, "a sum \(type), not \(inputs[2])") }
    return [type]
  }

  /// The sum.
  public var overwritableInputs: [Int] { hasSum ? [2] : [] }

  /// 2·size² an element of dy.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    2 * window.area * inputs[1].shape.elementCount
  }

  /// Sums of some channels.
  public func scratchBytes(_ inputs: [ValueType], _: [Shape], threads _: Int) -> Int {
    window.scratchBytes(channels: inputs[0].shape.columns)
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let (x, dy) = (inputs[0], inputs[1])
    let (images, channels) = (x.shape.rows / window.pixels, x.shape.columns)
    var dw =
      hasSum
      ? inputs[2] : ReferenceTensor(zeros: [channels, 1, window.size, window.size])
    window.forEach(images: images) { output, input, place in
      for c in 0..<channels {
        dw.data[c * window.area + place] += dy[output, c] * x[input, c]
      }
    }
    return [dw]
  }

  /// Tasks are vectors of channels, each over all images.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; parts are disjoint channels.
    let channels = call.inputTypes[0].shape.columns
    let kernels = unsafe call.kernels
    var arguments = unsafe samara_depthwise_weight_gradient_args()
    unsafe arguments.window = window.kernelWindow(channels: channels)
    unsafe arguments.images = Int64(call.inputTypes[0].shape.rows / window.pixels)
    unsafe arguments.input = UnsafePointer(call.floats(0))
    unsafe arguments.output_gradient = UnsafePointer(call.floats(1))
    unsafe arguments.gradient = call.result()
    if hasSum {
      unsafe call.copy(2)
      unsafe arguments.accumulate = 1
    }
    call.split(channels, grain: 16) { part, thread in
      var piece = unsafe arguments
      unsafe piece.channel_begin = Int64(part.lowerBound)
      unsafe piece.channel_end = Int64(part.upperBound)
      unsafe piece.scratch = call.scratch(thread)
      unsafe kernels.depthwise_weight_gradient(&piece)
    }
  }
}
