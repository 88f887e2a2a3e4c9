// Apache-2.0.
public import Codecs

/// One trainable tensor and its place in the canonical order.
public struct ParameterBlock: Sendable, Hashable {
  /// Name in the checkpoint.
  public let name: String
  /// Extents, row-major.
  public let shape: [Int]
  /// Its elements among the trainable scalars 0..<d.
  public let range: Range<Int>

  /// A block.
  public init(name: String, shape: [Int], range: Range<Int>) {
    self.name = name
    self.shape = shape
    self.range = range
  }
}

extension ParameterBlock {
  /// Trainable scalars of a model at most.
  public static let maximumCount = 1 << 31 - 1
  private static let maximumTensors = 1 << 20

  /// The tensors of a model as bytes.
  ///
  ///     count varint | for each: name string, rank varint, extent varint …
  public static func encode(_ blocks: [ParameterBlock]) -> [UInt8] {
    var writer = ByteWriter()
    writer.write(count: blocks.count)
    for block in blocks {
      writer.write(string: block.name)
      writer.write(count: block.shape.count)
      for extent in block.shape { writer.write(count: extent) }
    }
    return writer.bytes
  }

  /// Reads what `encode` wrote; ranges follow one another from 0.
  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> [ParameterBlock] {
    var reader = ByteReader(bytes)
    var blocks: [ParameterBlock] = []
    var next = 0
    for _ in 0..<(try reader.readCount(limit: maximumTensors, field: "tensors")) {
      let name = try reader.readString(limit: 4096, field: "tensor")
      var shape: [Int] = []
      var count = 1
      for _ in 0..<(try reader.readCount(limit: 8, field: "rank")) {
        let extent = try reader.readCount(limit: maximumCount, field: "extent")
        shape.append(extent)
        count *= extent
        guard count <= maximumCount - next else {
          throw .outOfRange(field: name, value: "\(count)", allowed: "\(maximumCount) in all")
        }
      }
      blocks.append(ParameterBlock(name: name, shape: shape, range: next..<next + count))
      next += count
    }
    try reader.finish()
    return blocks
  }
}
