// Apache-2.0.

/// A SHA-256 digest: 32 bytes that name a checkpoint, a model version or a file.
public struct Digest: Sendable, Hashable, WireCodable, CustomStringConvertible {
  /// The 32 bytes.
  public let bytes: [UInt8]

  /// A digest from its bytes.
  ///
  /// - Throws: `CodecError.outOfRange` unless there are 32.
  public init(bytes: [UInt8]) throws(CodecError) {
    guard bytes.count == 32 else {
      throw .outOfRange(field: "digest", value: "\(bytes.count) bytes", allowed: "32 bytes")
    }
    self.bytes = bytes
  }

  /// A digest that a hasher made.
  init(thirtyTwo bytes: [UInt8]) { self.bytes = bytes }

  /// Reads 32 bytes.
  public init(from reader: inout ByteReader) throws(CodecError) {
    bytes = Array(try reader.readBytes(32))
  }

  /// Appends the 32 bytes.
  public func encode(into writer: inout ByteWriter) { writer.write(bytes: bytes) }

  /// Sixty-four hexadecimal digits.
  public var description: String {
    let digits = Array("0123456789abcdef")
    return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }
}
