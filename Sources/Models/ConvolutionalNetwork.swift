// Apache-2.0.
import Codecs
public import GraphCompiler
public import Tensors

/// Image classifiers of inverted residuals: MobileNetV2, MCUNet, ProxylessNAS.
///
/// A 3×3 stem of stride 2, blocks, the mean over pixels, one linear layer. Every layer but the last of
/// a block ends in min(max(x, 0), 6). Batch norms are folded into their convolutions when a checkpoint
/// is read, and are not there afterwards.
///
///     model_type        samara_convolutional
///     architecture      mcunet-5fps, mobilenetv2 or proxyless-0.3; or blocks instead
///     width_multiplier  of mobilenetv2 (1)
///     blocks            [[expansion or 0, window, stride, outputs], …], with stem_channels (16)
///     image_size        rows and columns of pixels, or [rows, columns] (128)
///     num_channels      of a pixel (3)
///     bn_eps            of the batch norms (1e-5)
///
/// Tensors: `stem.conv`, `blocks.B.expand.conv`, `blocks.B.depthwise.conv`, `blocks.B.project.conv`,
/// each with `.weight` [outputs, inputs or 1, size, size] and `.bias`, or beside the convolution `bn`
/// with `.weight`, `.bias`, `.running_mean` and `.running_var`; `classifier.weight` and `.bias`.
public struct ConvolutionalNetwork: ModelFamily {
  /// `model_type` in `config.json`.
  public static let modelTypes = ["samara_convolutional"]

  /// No tokens.
  public let maximumPositions = 1
  /// No tokens.
  public let vocabularyCount = 0
  /// The head the checkpoint was saved with.
  public let storedHead: ModelHead

  let body: ConvolutionBody
  let height: Int
  let width: Int
  let channels: Int
  private let epsilon: Double
  /// Convolutions that have a batch norm in the checkpoint, and whether they have a bias beside it.
  private let norms: [String: Bool]

  /// Channels of all pixels.
  public var valueCount: Int { height * width * channels }

  /// What the stem sees.
  public var imageExtents: ImageExtents? {
    ImageExtents(height: height, width: width, channels: channels)
  }

  /// Reads the configuration.
  public init(_ settings: ModelSettings, hasTensor: (String) -> Bool) throws(ModelError) {
    body = try Self.body(settings)
    var extents = [128]
    if case .array = settings.raw("image_size") {
      extents = try settings.counts("image_size")
    } else if settings.isPresent("image_size") {
      extents = [try settings.count("image_size")]
    }
    guard (1...2).contains(extents.count), extents.allSatisfy({ $0 <= 4096 }) else {
      throw .configuration("image_size is one number up to 4096, or rows and columns")
    }
    (height, width) = (extents[0], extents[extents.count - 1])
    channels = try settings.count("num_channels", default: 3)
    guard channels <= 4096 else { throw .configuration("num_channels is \(channels)") }
    epsilon = try settings.number("bn_eps", default: 1e-5)
    guard epsilon > 0 else { throw .configuration("bn_eps is \(epsilon)") }
    storedHead =
      hasTensor("classifier.weight")
      ? .classifier(classes: try Decoder.classes(settings)) : .hidden
    var norms: [String: Bool] = [:]
    for layer in Self.layers(body) where hasTensor("\(layer).bn.running_var") {
      norms[layer] = hasTensor("\(layer).conv.bias")
    }
    self.norms = norms
  }

  private static func body(_ settings: ModelSettings) throws(ModelError) -> ConvolutionBody {
    guard let rows = try settings.rows("blocks") else {
      let name = try settings.string("architecture")
      let width = try settings.number("width_multiplier", default: 1)
      guard (0.05...8).contains(width) else {
        throw .configuration("width_multiplier is \(width); 0.05 to 8 are meant")
      }
      if let body = ConvolutionBody(named: name, width: width) { return body }
      throw .unsupported(
        key: "architecture",
        value: "\"\(name)\", none of \(ConvolutionBody.names.joined(separator: ", "))"
      )
    }
    var blocks: [ConvolutionBlock] = []
    for (index, row) in rows.enumerated() {
      guard row.count == 4, row[0] >= 0, row[0] <= 1 << 16,
        (1...DepthwiseConvolution.largestSize).contains(row[1]), row[1] % 2 == 1,
        (1...16).contains(row[2]), (1...1 << 16).contains(row[3])
      else {
        throw .configuration(
          "block \(index) is not [expansion or 0, odd window up to 7, stride, outputs]"
        )
      }
      blocks.append(ConvolutionBlock(row[0] == 0 ? nil : row[0], row[1], row[2], row[3]))
    }
    guard (1...256).contains(blocks.count) else {
      throw .configuration("\(blocks.count) blocks; 1 to 256 are meant")
    }
    let stem = try settings.count("stem_channels", default: 16)
    guard stem <= 1 << 16 else { throw .configuration("stem_channels is \(stem)") }
    return ConvolutionBody(stem: stem, blocks: blocks)
  }

  /// Names of the convolutions, which their norms share.
  private static func layers(_ body: ConvolutionBody) -> [String] {
    var names = ["stem"]
    for (index, block) in body.blocks.enumerated() {
      if block.expansion != nil { names.append("blocks.\(index).expand") }
      names += ["blocks.\(index).depthwise", "blocks.\(index).project"]
    }
    return names
  }

  /// The classifier.
  public var newTensors: [String] { ["classifier.weight", "classifier.bias"] }

  /// `architectures` of an exported `config.json`.
  public func architecture(_ head: ModelHead) -> String {
    if case .classifier = head { "ConvolutionalClassifier" } else { "ConvolutionalNetwork" }
  }

  /// The same under every head.
  public func exportName(_ name: String) -> String { name }

  /// Weights of convolutions have the extents of their windows.
  public func storedShape(_ name: String, _ shape: Shape) -> Shape {
    guard name.hasSuffix(".conv.weight"), shape.rank == 2 else { return shape }
    let size = name.hasPrefix("stem.") ? 3 : 1
    return [shape[0], shape[1] / (size * size), size, size]
  }

  /// The norm of a convolution.
  public func foldedNorm(_ name: String) -> FoldedNorm? {
    let isWeight = name.hasSuffix(".conv.weight")
    guard isWeight || name.hasSuffix(".conv.bias") else { return nil }
    let layer = String(name.dropLast(isWeight ? 12 : 10))
    guard let hasBias = norms[layer] else { return nil }
    return FoldedNorm(
      isWeight: isWeight,
      weight: "\(layer).conv.weight",
      convolutionBias: hasBias ? "\(layer).conv.bias" : nil,
      gain: "\(layer).bn.weight",
      bias: "\(layer).bn.bias",
      mean: "\(layer).bn.running_mean",
      variance: "\(layer).bn.running_var",
      epsilon: epsilon
    )
  }

  /// The graph.
  public func graph(_ request: GraphRequest) throws(ModelError) -> Graph {
    if request.head == .languageModel {
      throw .head("a convolutional network has no language-modeling head; choose classification")
    }
    return try building { () throws(GraphError) in try build(request) }
  }

  private func build(_ request: GraphRequest) throws(GraphError) -> Graph {
    var builder = GraphBuilder()
    let images = request.sequences
    let pixels = builder.input("values", ValueType([images * height * width, channels]))
    let first = Window(height: height, width: width, size: 3, stride: 2)
    var hidden = try builder.convolution(
      pixels,
      builder.parameter("stem.conv.weight", [body.stem, 9 * channels]),
      bias: builder.parameter("stem.conv.bias", [body.stem]),
      window: first,
      activation: .relu6
    )
    var (rows, columns, inputs) = (first.outputHeight, first.outputWidth, body.stem)
    for (index, block) in body.blocks.enumerated() {
      let window = Window(height: rows, width: columns, size: block.size, stride: block.stride)
      let adds = block.stride == 1 && block.outputs == inputs
      hidden = try self.block(
        &builder,
        hidden,
        "blocks.\(index).",
        block,
        inputs: inputs,
        window,
        residual: adds ? hidden : nil
      )
      (rows, columns, inputs) = (window.outputHeight, window.outputWidth, block.outputs)
    }
    let pooled = try builder.averagePool(hidden, pixels: rows * columns)
    guard case .classifier(let classes) = request.head else {
      return builder.finish(outputs: [("hidden", pooled)])
    }
    let weight = try builder.parameter("classifier.weight", [classes, inputs])
    let bias = try builder.parameter("classifier.bias", [classes])
    return try builder.finish(pooled, weight, bias: bias, request)
  }

  private func block(
    _ builder: inout GraphBuilder,
    _ x: ValueID,
    _ scope: String,
    _ block: ConvolutionBlock,
    inputs: Int,
    _ window: Window,
    residual: ValueID?
  ) throws(GraphError) -> ValueID {
    var inner = x
    let width = block.expansion ?? inputs
    if let expansion = block.expansion {
      inner = try builder.linear(
        x,
        builder.parameter("\(scope)expand.conv.weight", [expansion, inputs]),
        bias: builder.parameter("\(scope)expand.conv.bias", [expansion]),
        activation: .relu6
      )
    }
    let seen = try builder.depthwise(
      inner,
      builder.parameter("\(scope)depthwise.conv.weight", [width, 1, block.size, block.size]),
      bias: builder.parameter("\(scope)depthwise.conv.bias", [width]),
      window: window,
      activation: .relu6
    )
    return try builder.linear(
      seen,
      builder.parameter("\(scope)project.conv.weight", [block.outputs, width]),
      bias: builder.parameter("\(scope)project.conv.bias", [block.outputs]),
      residual: residual
    )
  }
}
