// Apache-2.0.

/// What a checked read or decode refused.
public enum CodecError: Error, Equatable, Sendable {
  /// The bytes end before what was announced: offset reached, bytes wanted, bytes left.
  case truncated(offset: Int, wanted: Int, left: Int)
  /// Bytes remain after the last field.
  case trailingBytes(Int)
  /// A field holds a value outside its bounds.
  case outOfRange(field: String, value: String, allowed: String)
  /// A field holds something that is not valid: which field, and why.
  case malformed(field: String, reason: String)
}

/// Checked little-endian reads over bytes; nothing is allocated from an unchecked length.
public struct ByteReader: Sendable {
  @usableFromInline let bytes: ArraySlice<UInt8>
  @usableFromInline var position: Int

  /// A reader at the first of `bytes`.
  @inlinable public init(_ bytes: some Sequence<UInt8>) {
    self.bytes = ArraySlice(bytes)
    position = self.bytes.startIndex
  }

  /// Bytes not read yet.
  @inlinable public var remaining: Int { bytes.endIndex - position }

  /// The next little-endian integer.
  ///
  /// - Throws: `CodecError.truncated`.
  @inlinable public mutating func read<T: FixedWidthInteger>(_ type: T.Type) throws(CodecError) -> T
  {
    let size = T.bitWidth / 8
    try need(size)
    var value: T = 0
    for index in 0..<size {
      value |= T(truncatingIfNeeded: bytes[position + index]) << (8 * index)
    }
    position += size
    return value
  }

  /// The next IEEE-754 binary32, by its bits.
  public mutating func readFloat() throws(CodecError) -> Float {
    Float(bitPattern: try read(UInt32.self))
  }

  /// The next `count` bytes.
  @inlinable public mutating func readBytes(_ count: Int) throws(CodecError) -> ArraySlice<UInt8> {
    try need(count)
    defer { position += count }
    return bytes[position..<position + count]
  }

  /// The next unsigned LEB128 number, at most ten bytes and in its shortest form.
  @inlinable public mutating func readVarint() throws(CodecError) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: 0, to: 70, by: 7) {
      let byte = try read(UInt8.self)
      if shift == 63, byte > 1 { break }
      value |= UInt64(byte & 0x7F) << UInt64(shift)
      if byte & 0x80 == 0 {
        if byte == 0, shift > 0 { break }
        return value
      }
    }
    throw .malformed(field: "varint", reason: "longer than its value or than 64 bits")
  }

  /// A count or length written as a varint, refused above `limit`.
  @inlinable public mutating func readCount(limit: Int, field: String) throws(CodecError) -> Int {
    let value = try readVarint()
    guard value <= UInt64(limit) else {
      throw .outOfRange(field: field, value: "\(value)", allowed: "0...\(limit)")
    }
    return Int(value)
  }

  /// UTF-8 text behind its varint length, refused above `limit` bytes.
  public mutating func readString(limit: Int, field: String) throws(CodecError) -> String {
    let count = try readCount(limit: limit, field: field)
    guard let text = String(validating: try readBytes(count), as: UTF8.self) else {
      throw .malformed(field: field, reason: "not UTF-8")
    }
    return text
  }

  /// Refuses bytes left over.
  @inlinable public func finish() throws(CodecError) {
    guard remaining == 0 else { throw .trailingBytes(remaining) }
  }

  @usableFromInline func need(_ count: Int) throws(CodecError) {
    guard count >= 0, count <= remaining else {
      throw .truncated(offset: position - bytes.startIndex, wanted: count, left: remaining)
    }
  }
}
