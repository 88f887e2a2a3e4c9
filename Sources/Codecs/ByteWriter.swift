// Apache-2.0.

/// Appends little-endian fields to a byte array.
public struct ByteWriter: Sendable {
  @usableFromInline var written: [UInt8] = []

  /// What was written so far.
  @inlinable public var bytes: [UInt8] { written }

  /// An empty writer.
  @inlinable public init() {}

  /// Appends an integer, little-endian.
  @inlinable public mutating func write<T: FixedWidthInteger>(_ value: T) {
    for index in 0..<(T.bitWidth / 8) {
      written.append(UInt8(truncatingIfNeeded: value >> (8 * index)))
    }
  }

  /// Appends the bits of a binary32.
  @inlinable public mutating func write(_ value: Float) { write(value.bitPattern) }

  /// Appends bytes as they are.
  @inlinable public mutating func write(bytes more: some Sequence<UInt8>) {
    written.append(contentsOf: more)
  }

  /// Appends an unsigned LEB128 number in its shortest form.
  @inlinable public mutating func writeVarint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      written.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    written.append(UInt8(rest))
  }

  /// Appends a non-negative count as a varint.
  @inlinable public mutating func write(count: Int) { writeVarint(UInt64(count)) }

  /// Appends UTF-8 text behind its varint length.
  @inlinable public mutating func write(string: String) {
    let utf8 = Array(string.utf8)
    write(count: utf8.count)
    write(bytes: utf8)
  }
}

/// A value with one byte form, the same on every machine.
public protocol WireCodable: Sendable {
  /// Appends the value.
  func encode(into writer: inout ByteWriter)
  /// Reads a value.
  ///
  /// - Throws: `CodecError` where the bytes are not such a value.
  init(from reader: inout ByteReader) throws(CodecError)
}

extension WireCodable {
  /// The value's bytes.
  public var encoded: [UInt8] {
    var writer = ByteWriter()
    encode(into: &writer)
    return writer.bytes
  }

  /// Decodes a value that fills `bytes` exactly.
  public init(decoding bytes: some Sequence<UInt8>) throws(CodecError) {
    var reader = ByteReader(bytes)
    try self.init(from: &reader)
    try reader.finish()
  }
}
