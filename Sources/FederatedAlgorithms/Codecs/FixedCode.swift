// Apache-2.0.
import Codecs

/// Integers in planes of bytes: byte b of all zigzag codes together, so that zstd sees what the upper
/// bytes have in common.
///
///     planes u8 | plane 0 | plane 1 | …
enum FixedCode {
  /// The power of two that makes integers up to `largest` fit `bits` bits.
  static func shift(largest: Int32, bits: Int) -> Int {
    // A code of at most 2^(bits−1) − 1 either way, with room for rounding up.
    var shift = 0
    while (Int(largest) >> shift) + 1 > 1 << (bits - 1) - 1, shift < 32 - bits { shift += 1 }
    return shift
  }

  /// Bytes of a chunk at most.
  static func longest(_ count: Int) -> Int { 1 + 4 * count }

  /// The chunk of `amounts`, which become what it leaves out.
  static func content(_ amounts: inout MutableSpan<Int32>, shift: Int) -> [UInt8] {
    var codes = [Int32](repeating: 0, count: amounts.count)
    var target = codes.mutableSpan
    IntegerKernels.shiftCodes(&amounts, shift: shift, into: &target)
    let largest = UInt64(IntegerKernels.largestMagnitude(codes.span)) * 2
    let planes = largest == 0 ? 0 : (64 - largest.leadingZeroBitCount + 7) / 8
    var content = [UInt8](repeating: 0, count: 1 + planes * amounts.count)
    content[0] = UInt8(planes)
    IntegerKernels.splitPlanes(codes.span, planes: planes, into: &content, from: 1)
    return content
  }

  /// amounts ← a chunk of as many elements.
  static func decode(
    _ content: [UInt8],
    bits: Int,
    shift: Int,
    into amounts: inout MutableSpan<Int32>
  ) throws(CodecError) {
    guard let planes = content.first, planes <= bits / 8 else {
      throw .malformed(field: "planes", reason: "more bytes than a code has")
    }
    guard content.count == 1 + Int(planes) * amounts.count else {
      throw .outOfRange(
        field: "chunk",
        value: "\(content.count) bytes",
        allowed: "\(1 + Int(planes) * amounts.count)"
      )
    }
    IntegerKernels.joinPlanes(content, from: 1, planes: Int(planes), shift: shift, into: &amounts)
  }
}
