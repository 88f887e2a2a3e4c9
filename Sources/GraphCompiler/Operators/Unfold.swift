// Apache-2.0.
import CKernels
public import Tensors

/// What a window sees, one row a pixel of the result: a convolution is a linear layer over these.
///
/// Columns are in the order of a checkpoint's weight [outputs, channels, size, size].
public struct Unfold: DifferentiableOperator {
  /// Name in printed plans.
  public static let name = "unfold"

  let window: Window

  /// Patches [B·OH·OW, C·size²] of x [B·H·W, C].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    let x = inputs[0].shape
    try require(
      window.isValid && x.rows % window.pixels == 0,
      "images of \(window.height)×\(window.width) pixels, not \(x)"
    )
    let rows = x.rows / window.pixels * window.outputPixels
    return [ValueType([rows, x.columns * window.area])]
  }

  /// None.
  public func flops(_: [ValueType], _: [Shape]) -> Int { 0 }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let x = inputs[0]
    let (images, channels) = (x.shape.rows / window.pixels, x.shape.columns)
    var y = ReferenceTensor(zeros: [images * window.outputPixels, channels * window.area])
    window.forEach(images: images) { output, input, place in
      for c in 0..<channels { y[output, c * window.area + place] = x[input, c] }
    }
    return [y]
  }

  /// Tasks are pixels of the result.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; parts are disjoint rows.
    let (channels, width) = (call.inputTypes[0].shape.columns, call.outputTypes[0].shape.columns)
    var kernelWindow = window.kernelWindow(channels: channels)
    let (x, y) = unsafe (call.floats(0), call.result())
    let kernels = unsafe call.kernels
    unsafe withUnsafePointer(to: &kernelWindow) { kernelWindow in
      for image in 0..<call.inputTypes[0].shape.rows / window.pixels {
        call.split(window.outputPixels, grain: 256) { part, _ in
          unsafe kernels.unfold(
            kernelWindow,
            x + image * window.pixels * channels,
            y + (image * window.outputPixels + part.lowerBound) * width,
            Int64(part.lowerBound),
            Int64(part.upperBound)
          )
        }
      }
    }
  }

  /// Gradients of patches go back to the pixels they hold.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient(), backward.wants(input: 0) else { return }
    try backward.add(input: 0, backward.apply(Fold(window: window), [dy])[0])
  }
}

/// Sums of what patches hold of each pixel: the transposed map of `Unfold`.
public struct Fold: Operator {
  /// Name in printed plans.
  public static let name = "fold"

  let window: Window

  /// dx [B·H·W, C] of patches [B·OH·OW, C·size²].
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    let y = inputs[0].shape
    try require(
      y.rows % window.outputPixels == 0 && y.columns % window.area == 0,
      "patches of whole images, not \(y)"
    )
    return [ValueType([y.rows / window.outputPixels * window.pixels, y.columns / window.area])]
  }

  /// One an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int { inputs[0].shape.elementCount }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let y = inputs[0]
    let (images, channels) = (y.shape.rows / window.outputPixels, y.shape.columns / window.area)
    var dx = ReferenceTensor(zeros: [images * window.pixels, channels])
    window.forEach(images: images) { output, input, place in
      for c in 0..<channels { dx[input, c] += y[output, c * window.area + place] }
    }
    return [dx]
  }

  /// Tasks are rows of pixels.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; parts are disjoint rows.
    let (width, channels) = (call.inputTypes[0].shape.columns, call.outputTypes[0].shape.columns)
    var kernelWindow = window.kernelWindow(channels: channels)
    let (y, dx) = unsafe (call.floats(0), call.result())
    let kernels = unsafe call.kernels
    let images = call.outputTypes[0].shape.rows / window.pixels
    unsafe withUnsafePointer(to: &kernelWindow) { kernelWindow in
      call.splitRows(images: images, rows: window.height) { image, rows, _ in
        unsafe kernels.fold(
          kernelWindow,
          y + image * window.outputPixels * width,
          dx + image * window.pixels * channels,
          Int64(rows.lowerBound),
          Int64(rows.upperBound)
        )
      }
    }
  }
}
