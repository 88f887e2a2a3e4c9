// Apache-2.0.

/// An inverted residual: a pointwise layer that expands, a depthwise one, a pointwise one that projects.
///
/// The input is added to the result where both have the same extents.
struct ConvolutionBlock: Sendable, Hashable {
  /// Channels within; nil where there is no expansion.
  let expansion: Int?
  /// Rows and columns of the depthwise window.
  let size: Int
  /// Distance of its windows.
  let stride: Int
  /// Channels of the result.
  let outputs: Int

  init(_ expansion: Int?, _ size: Int, _ stride: Int, _ outputs: Int) {
    self.expansion = expansion
    self.size = size
    self.stride = stride
    self.outputs = outputs
  }
}

/// A stem and blocks by name.
struct ConvolutionBody: Sendable {
  /// Channels of the stem's result.
  let stem: Int
  /// The blocks.
  let blocks: [ConvolutionBlock]

  static let names = ["mcunet-5fps", "mobilenetv2", "proxyless-0.3"]

  /// A body by its name; nil where there is none of it.
  init?(named name: String, width: Double) {
    switch name {
    case "mcunet-5fps": self = .mcunet
    case "mobilenetv2": self = .mobileNet(width: width)
    case "proxyless-0.3": self = .proxyless
    default: return nil
    }
  }

  init(stem: Int, blocks: [ConvolutionBlock]) {
    self.stem = stem
    self.blocks = blocks
  }

  /// MobileNetV2 (arXiv 1801.04381, table 2) without its last pointwise layer.
  ///
  /// Channels are multiples of eight, and lose no more than a tenth by that.
  static func mobileNet(width: Double) -> ConvolutionBody {
    func channels(_ count: Int) -> Int {
      let wanted = Double(count) * width
      let rounded = max(8, Int(wanted + 4) / 8 * 8)
      return Double(rounded) < 0.9 * wanted ? rounded + 8 : rounded
    }
    let groups = [
      (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
      (6, 320, 1, 1),
    ]
    var inputs = channels(32)
    var blocks: [ConvolutionBlock] = []
    for (factor, count, repeats, stride) in groups {
      for index in 0..<repeats {
        let expansion = factor == 1 ? nil : factor * inputs
        blocks.append(ConvolutionBlock(expansion, 3, index == 0 ? stride : 1, channels(count)))
        inputs = channels(count)
      }
    }
    return ConvolutionBody(stem: channels(32), blocks: blocks)
  }

  /// MCUNet for five frames a second (arXiv 2007.10319; as released for training, arXiv 2206.15472).
  static let mcunet = ConvolutionBody(
    stem: 16,
    blocks: [
      .init(nil, 3, 1, 8), .init(32, 3, 2, 16), .init(48, 3, 1, 16), .init(48, 7, 2, 24),
      .init(120, 3, 1, 24), .init(120, 3, 2, 40), .init(160, 7, 1, 40), .init(160, 5, 1, 48),
      .init(144, 3, 1, 48), .init(192, 3, 1, 48), .init(240, 7, 2, 96), .init(384, 5, 1, 96),
      .init(384, 5, 1, 96), .init(576, 3, 1, 160),
    ]
  )

  /// ProxylessNAS at width 0.3 (arXiv 1812.00332; as released for training, arXiv 2206.15472).
  static let proxyless = ConvolutionBody(
    stem: 16,
    blocks: [
      .init(nil, 3, 1, 8), .init(24, 5, 2, 16), .init(48, 3, 1, 16), .init(48, 7, 2, 16),
      .init(48, 3, 1, 16), .init(48, 5, 1, 16), .init(48, 5, 1, 16), .init(96, 7, 2, 24),
      .init(72, 5, 1, 24), .init(72, 5, 1, 24), .init(72, 5, 1, 24), .init(144, 5, 1, 32),
      .init(96, 5, 1, 32), .init(96, 5, 1, 32), .init(96, 5, 1, 32), .init(192, 7, 2, 64),
      .init(384, 7, 1, 64), .init(192, 7, 1, 64), .init(192, 7, 1, 64), .init(384, 7, 1, 96),
    ]
  )
}
