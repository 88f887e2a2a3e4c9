// Apache-2.0.

/// The pictures a model reads: their extents, and how samples become the values it was trained on.
public struct ImageInput: Sendable, Hashable {
  /// Rows of pixels.
  public let height: Int
  /// Columns of pixels.
  public let width: Int
  /// Channels of a pixel.
  public let channels: Int
  /// Subtracted from samples of 0 … 1, one a channel.
  public let mean: [Float]
  /// What the difference is divided by, one a channel.
  public let deviation: [Float]

  /// Pictures, by default normalised as those of ImageNet; of its three channels one has the average.
  public init(
    height: Int,
    width: Int,
    channels: Int,
    mean: [Float]? = nil,
    deviation: [Float]? = nil
  ) {
    self.height = height
    self.width = width
    self.channels = channels
    self.mean = Self.each(mean, channels, [0.485, 0.456, 0.406], else: 0.449)
    self.deviation = Self.each(deviation, channels, [0.229, 0.224, 0.225], else: 0.226)
  }

  private static func each(
    _ given: [Float]?,
    _ channels: Int,
    _ ofColours: [Float],
    else fallback: Float
  ) -> [Float] {
    let numbers = given ?? (channels == 3 ? ofColours : [fallback])
    precondition(numbers.count == 1 || numbers.count == channels, "one number a channel")
    return numbers.count == channels
      ? numbers : [Float](repeating: numbers[0], count: channels)
  }

  /// The values of a picture, its extents changed where they differ; grey fills every channel.
  ///
  /// - Throws: `ImageFault` of colours where the model reads another number of channels.
  public func values(_ image: PortableImage) throws(ImageFault) -> [Float] {
    guard image.channels == channels || image.channels == 1 else {
      throw ImageFault("\(image.channels) channels a pixel; the model reads \(channels)")
    }
    let samples = image.values(height: height, width: width)
    if image.channels == channels {
      return samples.indices.map { place in
        (samples[place] - mean[place % channels]) / deviation[place % channels]
      }
    }
    var made: [Float] = []
    made.reserveCapacity(samples.count * channels)
    for sample in samples {
      for channel in 0..<channels { made.append((sample - mean[channel]) / deviation[channel]) }
    }
    return made
  }
}
