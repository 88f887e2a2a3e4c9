// Apache-2.0.
public import Codecs

/// The first eight bytes of a digest: enough to tell versions of one run apart.
///
/// It finds honest mistakes; who may speak, certificates decide.
public struct DigestPrefix: WireCodable, Hashable, CustomStringConvertible {
  private let bits: UInt64

  /// The beginning of `digest`.
  public init(_ digest: Digest) {
    bits = digest.bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Reads eight bytes.
  public init(from reader: inout ByteReader) throws(CodecError) {
    bits = try reader.read(UInt64.self)
  }

  /// Appends eight bytes.
  public func encode(into writer: inout ByteWriter) { writer.write(bits) }

  /// Sixteen hexadecimal digits in the order of the bytes.
  public var description: String {
    let digits = String(bits.byteSwapped, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
