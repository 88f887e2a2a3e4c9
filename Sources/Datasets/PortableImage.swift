// Apache-2.0.

/// A picture of a PGM or PPM file (netpbm's P5 and P6), a byte a sample.
public struct PortableImage: Sendable {
  /// Rows of pixels.
  public let height: Int
  /// Columns of pixels.
  public let width: Int
  /// 1 of shades of grey, 3 of colours.
  public let channels: Int
  /// What stands for one.
  private let maximum: UInt8
  /// Row by row, the channels of a pixel side by side.
  private let samples: ArraySlice<UInt8>

  /// Names of files that hold one, in small letters.
  public static let suffixes = [".ppm", ".pgm", ".pnm"]

  static let largestExtent = 1 << 16

  /// Reads the bytes of a file; what follows the picture is not looked at.
  ///
  /// - Throws: `ImageFault` where they are no such picture.
  public init(_ bytes: [UInt8]) throws(ImageFault) {
    var header = PortableHeader(bytes)
    channels = try header.kind()
    width = try header.number("width", atMost: Self.largestExtent)
    height = try header.number("height", atMost: Self.largestExtent)
    maximum = UInt8(try header.number("greatest sample", atMost: 255))
    let start = try header.end()
    let count = width * height * channels
    guard bytes.count - start >= count else {
      throw ImageFault(
        "\(bytes.count - start) bytes of samples; \(width)×\(height) pixels need \(count)"
      )
    }
    samples = bytes[start..<start + count]
    if maximum < 255, let sample = samples.first(where: { $0 > maximum }) {
      throw ImageFault("a sample of \(sample), where \(maximum) is said to be the greatest")
    }
  }

  /// The samples as numbers of 0 … 1, in the order they are stored in.
  ///
  /// Where the extents differ from those asked for, a pixel is taken from the four around its centre
  /// (bilinear; PyTorch's `interpolate` with `align_corners=False` and no antialiasing).
  public func values(height: Int, width: Int) -> [Float] {
    precondition(height > 0 && width > 0, "a picture of \(height)×\(width) pixels")
    let shares = (0..<256).map { Float($0) / Float(maximum) }
    guard height != self.height || width != self.width else {
      return samples.map { shares[Int($0)] }
    }
    let rows = Self.neighbours(of: self.height, at: height)
    let columns = Self.neighbours(of: self.width, at: width)
    let first = samples.startIndex
    var made: [Float] = []
    made.reserveCapacity(height * width * channels)
    for row in rows {
      let (above, below) = (row.first * self.width, row.second * self.width)
      for column in columns {
        for channel in 0..<channels {
          func sample(_ line: Int, _ place: Int) -> Float {
            shares[Int(samples[first + (line + place) * channels + channel])]
          }
          let upper =
            (1 - column.share) * sample(above, column.first)
            + column.share * sample(above, column.second)
          let lower =
            (1 - column.share) * sample(below, column.first)
            + column.share * sample(below, column.second)
          made.append((1 - row.share) * upper + row.share * lower)
        }
      }
    }
    return made
  }

  /// For each of `wanted` places along an extent the two stored ones around its centre, and the share
  /// of the second.
  private static func neighbours(
    of count: Int,
    at wanted: Int
  ) -> [(first: Int, second: Int, share: Float)] {
    let step = Float(count) / Float(wanted)
    return (0..<wanted).map { place in
      let centre = max(0, step * (Float(place) + 0.5) - 0.5)
      let first = min(Int(centre), count - 1)
      return (first, min(first + 1, count - 1), centre - Float(first))
    }
  }
}

/// Why bytes are no picture.
public struct ImageFault: Error, Sendable, Equatable {
  /// What is wrong.
  public let reason: String

  init(_ reason: String) { self.reason = reason }
}

/// The words before the samples, blanks and comments between them.
private struct PortableHeader {
  private let bytes: [UInt8]
  private var place = 2

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Channels of a pixel by the first two letters.
  func kind() throws(ImageFault) -> Int {
    switch bytes.prefix(2) {
    case [UInt8(ascii: "P"), UInt8(ascii: "5")]: return 1
    case [UInt8(ascii: "P"), UInt8(ascii: "6")]: return 3
    default: throw ImageFault("no binary PGM or PPM: it does not begin with P5 or P6")
    }
  }

  /// The next number, of 1 or more.
  mutating func number(_ name: String, atMost limit: Int) throws(ImageFault) -> Int {
    let start = place
    try skipBlanks()
    guard place > start else { throw ImageFault("no blank before the \(name)") }
    var number = 0
    let first = place
    while place < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[place]) {
      number = number * 10 + Int(bytes[place] - UInt8(ascii: "0"))
      guard number <= limit else { throw ImageFault("a \(name) above \(limit)") }
      place += 1
    }
    guard place > first, number > 0 else { throw ImageFault("no \(name) in the header") }
    return number
  }

  /// Where the samples begin: behind the one blank that ends the header.
  func end() throws(ImageFault) -> Int {
    guard place < bytes.count, Self.isBlank(bytes[place]) else {
      throw ImageFault("no blank behind the header")
    }
    return place + 1
  }

  private mutating func skipBlanks() throws(ImageFault) {
    while place < bytes.count {
      if bytes[place] == UInt8(ascii: "#") {
        while place < bytes.count, bytes[place] != UInt8(ascii: "\n") { place += 1 }
      } else if Self.isBlank(bytes[place]) {
        place += 1
      } else {
        return
      }
    }
    throw ImageFault("the header has no end")
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
}
