// Apache-2.0.

/// Reading and writing characters of UTF-8 that came out of a `String`, hence valid.
enum UTF8Text {
  /// The character at `position`, which moves behind it.
  @inline(__always)
  static func next(_ bytes: [UInt8], _ position: inout Int) -> UInt32 {
    let first = UInt32(bytes[position])
    position += 1
    if first < 0x80 { return first }
    let count = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1
    var scalar = first & (0x3F >> UInt32(count))
    for _ in 0..<count where position < bytes.count {
      scalar = scalar << 6 | UInt32(bytes[position] & 0x3F)
      position += 1
    }
    return min(scalar, 0x10FFFF)
  }

  /// The character that ends before `position`, and where it begins.
  static func previous(_ bytes: [UInt8], before position: Int) -> (scalar: UInt32, start: Int) {
    var start = position - 1
    while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
    var cursor = start
    return (next(bytes, &cursor), start)
  }

  /// Appends a character.
  static func append(_ scalar: UInt32, to bytes: inout [UInt8]) {
    switch scalar {
    case 0..<0x80: bytes.append(UInt8(scalar))
    case 0x80..<0x800:
      bytes.append(UInt8(0xC0 | scalar >> 6))
      bytes.append(UInt8(0x80 | scalar & 0x3F))
    case 0x800..<0x10000:
      bytes.append(UInt8(0xE0 | scalar >> 12))
      bytes.append(UInt8(0x80 | scalar >> 6 & 0x3F))
      bytes.append(UInt8(0x80 | scalar & 0x3F))
    default:
      bytes.append(UInt8(0xF0 | scalar >> 18 & 7))
      bytes.append(UInt8(0x80 | scalar >> 12 & 0x3F))
      bytes.append(UInt8(0x80 | scalar >> 6 & 0x3F))
      bytes.append(UInt8(0x80 | scalar & 0x3F))
    }
  }

  /// The characters of a text.
  static func scalars(_ bytes: [UInt8]) -> [UInt32] {
    var scalars: [UInt32] = []
    scalars.reserveCapacity(bytes.count)
    var position = 0
    while position < bytes.count { scalars.append(next(bytes, &position)) }
    return scalars
  }

  /// The bytes of characters.
  static func bytes(_ scalars: [UInt32]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(scalars.count)
    for scalar in scalars { append(scalar, to: &bytes) }
    return bytes
  }

  /// Where a sequence of bytes first stands at or behind `start`.
  static func find(_ pattern: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
    guard let first = pattern.first, bytes.count >= pattern.count else { return nil }
    var position = start
    while position + pattern.count <= bytes.count {
      if bytes[position] == first,
        bytes[position..<position + pattern.count].elementsEqual(pattern)
      {
        return position
      }
      position += 1
    }
    return nil
  }

  /// Every occurrence of `pattern` replaced, from the left, none within another.
  static func replace(_ pattern: [UInt8], by content: [UInt8], in bytes: [UInt8]) -> [UInt8] {
    guard var found = find(pattern, in: bytes, from: 0) else { return bytes }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var start = 0
    while true {
      result += bytes[start..<found]
      result += content
      start = found + pattern.count
      guard let next = find(pattern, in: bytes, from: start) else { break }
      found = next
    }
    result += bytes[start...]
    return result
  }
}
