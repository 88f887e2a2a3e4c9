// Apache-2.0.
import GraphCompiler
import Tensors

extension RandomGraph {
  /// Two blocks over images and a classifier.
  ///
  /// A dense convolution, windows of two sizes and strides, pointwise layers, ReLU6, a residual, the
  /// mean over pixels. Pixels are rows of a table, so that a gradient passes to the images.
  static func images(_ images: Int, height: Int, width: Int, seed: UInt64) throws -> RandomGraph {
    let (channels, classes, vocabulary) = (6, 7, 19)
    var builder = GraphBuilder()
    let ids = builder.input("input_ids", ValueType([images, height * width], .integer))
    let labels = builder.input("labels", ValueType([images], .integer))
    func weight(_ name: String, _ shape: Shape) throws -> ParameterID {
      try builder.parameter(name, shape)
    }
    let pixels = try builder.embedding(ids, weight("embed", [vocabulary, 3]))
    let first = Window(height: height, width: width, size: 3, stride: 2)
    let stem = try builder.convolution(
      pixels,
      weight("stem", [channels, 27]),
      bias: weight("stem.b", [channels]),
      window: first,
      activation: .relu6
    )
    let inner = try builder.linear(
      stem,
      weight("inner", [2 * channels, channels]),
      bias: weight("inner.b", [2 * channels]),
      activation: .relu6
    )
    let wide = Window(height: first.outputHeight, width: first.outputWidth, size: 5)
    let seen = try builder.depthwise(
      inner,
      weight("wide", [2 * channels, 1, 5, 5]),
      bias: weight("wide.b", [2 * channels]),
      window: wide,
      activation: .relu6
    )
    let block = try builder.linear(
      seen,
      weight("narrow", [channels, 2 * channels]),
      residual: stem
    )
    let last = Window(height: wide.outputHeight, width: wide.outputWidth, size: 3, stride: 2)
    let small = try builder.depthwise(block, weight("last", [channels, 1, 3, 3]), window: last)
    let pooled = try builder.averagePool(small, pixels: last.outputPixels)
    let (head, bias) = (try weight("head", [classes, channels]), try weight("head.b", [classes]))
    let loss = try builder.crossEntropy(pooled, head, bias: bias, labels: labels)
    let logits = try builder.linear(pooled, head, bias: bias)
    var made = RandomGraph(
      builder.finish(outputs: [
        ("logits", logits), ("losses", loss.losses), ("predictions", loss.predictions),
      ]),
      seed: seed
    )
    let count = images * height * width
    made.integers["input_ids"] = (0..<count).map { Int32($0 * 7 % vocabulary) }
    made.integers["labels"] = (0..<images).map { Int32($0 % 5 == 4 ? -1 : $0 * 11 % classes) }
    return made
  }
}
