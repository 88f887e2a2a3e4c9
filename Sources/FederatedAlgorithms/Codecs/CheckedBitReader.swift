// Apache-2.0.
import Codecs

/// Reads what `BitPacker` wrote of a length that nobody vouches for, and nothing past its end.
struct CheckedBitReader {
  private let bytes: ArraySlice<UInt8>
  private var position = 0

  /// A reader at the first bit.
  init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

  /// The next number of `count` bits, at most 32.
  mutating func read(_ count: Int) throws(CodecError) -> UInt32 {
    guard position + count <= 8 * bytes.count else {
      throw .truncated(offset: position / 8, wanted: count / 8 + 1, left: 0)
    }
    var number: UInt32 = 0
    for bit in 0..<count {
      let byte = bytes[bytes.startIndex + position / 8]
      number |= UInt32(byte >> UInt8(position % 8) & 1) << UInt32(bit)
      position += 1
    }
    return number
  }

  /// Refuses bytes left over, and padding that is not zero.
  mutating func finish() throws(CodecError) {
    let rest = 8 * bytes.count - position
    guard rest < 8 else { throw .trailingBytes(rest / 8) }
    guard try read(rest) == 0 else {
      throw .malformed(field: "padding", reason: "not zero")
    }
  }
}
