// Apache-2.0.
import CKernels
public import Tensors

/// The mean over the pixels of each image.
public struct AveragePool: DifferentiableOperator {
  /// Name in printed plans.
  public static let name = "average_pool"

  let pixels: Int

  /// y [B, C] of x [B·pixels, C].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    let x = inputs[0].shape
    try require(pixels > 0 && x.rows % pixels == 0, "images of \(pixels) pixels, not \(x)")
    return [ValueType([x.rows / pixels, x.columns])]
  }

  /// One an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int { inputs[0].shape.elementCount }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let x = inputs[0]
    var y = ReferenceTensor(zeros: [x.shape.rows / pixels, x.shape.columns])
    for row in 0..<x.shape.rows {
      for c in 0..<x.shape.columns { y[row / pixels, c] += x[row, c] / Double(pixels) }
    }
    return [y]
  }

  /// Tasks are images.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; images are disjoint.
    let width = call.outputTypes[0].shape.columns
    let (x, y) = unsafe (call.floats(0), call.result())
    let kernels = unsafe call.kernels
    call.team.run(tasks: call.outputTypes[0].shape.rows) { image, _ in
      unsafe kernels.average_pool(
        x + image * pixels * width,
        Int64(pixels),
        Int64(width),
        y + image * width
      )
    }
  }

  /// An equal share to each pixel.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient(), backward.wants(input: 0) else { return }
    try backward.add(input: 0, backward.apply(AveragePoolGradient(pixels: pixels), [dy])[0])
  }
}

/// dx of an `AveragePool`.
public struct AveragePoolGradient: Operator {
  /// Name in printed plans.
  public static let name = "average_pool_gradient"

  let pixels: Int

  /// dx [B·pixels, C] of dy [B, C].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    [ValueType([inputs[0].shape.rows * pixels, inputs[0].shape.columns])]
  }

  /// One an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    inputs[0].shape.elementCount * pixels
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let dy = inputs[0]
    var dx = ReferenceTensor(zeros: [dy.shape.rows * pixels, dy.shape.columns])
    for row in 0..<dx.shape.rows {
      for c in 0..<dy.shape.columns { dx[row, c] = dy[row / pixels, c] / Double(pixels) }
    }
    return [dx]
  }

  /// Tasks are images.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; images are disjoint.
    let width = call.inputTypes[0].shape.columns
    let (dy, dx) = unsafe (call.floats(0), call.result())
    let kernels = unsafe call.kernels
    call.team.run(tasks: call.inputTypes[0].shape.rows) { image, _ in
      unsafe kernels.average_pool_gradient(
        dy + image * width,
        Int64(pixels),
        Int64(width),
        dx + image * pixels * width
      )
    }
  }
}

extension GraphBuilder {
  /// Each channel of images x [B·H·W, C] by its window of W [C, 1, size, size], and b [C].
  public mutating func depthwise(
    _ x: ValueID,
    _ weight: ParameterID,
    bias: ParameterID? = nil,
    window: Window,
    activation: Activation = .identity
  ) throws(GraphError) -> ValueID {
    let isWithin = activation.isKnownByResult
    let y = try apply(
      DepthwiseConvolution(
        window: window,
        hasBias: bias != nil,
        activation: isWithin ? activation : .identity
      ),
      [x],
      [weight] + (bias.map { [$0] } ?? [])
    )[0]
    guard activation != .identity, !isWithin else { return y }
    return try apply(Activate(activation: activation), [y])[0]
  }

  /// A convolution of images x [B·H·W, C] by W [N, C·size²]: a linear layer over patches.
  public mutating func convolution(
    _ x: ValueID,
    _ weight: ParameterID,
    bias: ParameterID? = nil,
    window: Window,
    activation: Activation = .identity
  ) throws(GraphError) -> ValueID {
    let patches = try apply(Unfold(window: window), [x])[0]
    return try linear(patches, weight, bias: bias, activation: activation)
  }

  /// The mean over the pixels of each image; y [B, C] of x [B·pixels, C].
  public mutating func averagePool(_ x: ValueID, pixels: Int) throws(GraphError) -> ValueID {
    try apply(AveragePool(pixels: pixels), [x])[0]
  }
}
