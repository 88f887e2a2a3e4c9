// Apache-2.0.
import Codecs

/// Blocks with a step of their own: amount = code · step, codes of 8 bits in blocks of 256 or of 4 bits
/// in blocks of 64.
///
///     step code of each block u16 | codes, one or half a byte each
struct BlockCode {
  private let bits: Int

  /// 8 or 4 bits.
  init(bits: Int) { self.bits = bits }

  private var blockSize: Int { bits == 8 ? 256 : 64 }
  /// The largest code.
  private var limit: Int32 { bits == 8 ? 127 : 7 }

  private func blocks(_ count: Int) -> Int { (count + blockSize - 1) / blockSize }

  /// Bytes of a chunk.
  func length(_ count: Int) -> Int { 2 * blocks(count) + (bits == 8 ? count : (count + 1) / 2) }

  /// The chunk of `amounts`, which become what it leaves out: at most half a step an element.
  func content(_ amounts: inout MutableSpan<Int32>) -> [UInt8] {
    let count = amounts.count
    var content = [UInt8](repeating: 0, count: length(count))
    var codes = [Int8](repeating: 0, count: count)
    for block in 0..<blocks(count) {
      let range = block * blockSize..<min(count, (block + 1) * blockSize)
      var part = amounts._mutatingExtracting(range)
      let largest = IntegerKernels.largestMagnitude(part.span)
      let code = StepCode(atLeast: (Int(largest) + Int(limit) - 1) / Int(limit))
      content[2 * block] = UInt8(truncatingIfNeeded: code.bits)
      content[2 * block + 1] = UInt8(truncatingIfNeeded: code.bits >> 8)
      guard largest > 0 else { continue }
      var target = codes.mutableSpan
      var here = target._mutatingExtracting(range)
      IntegerKernels.quantize(&part, step: Int32(code.value), limit: limit, into: &here)
    }
    IntegerKernels.store(codes.span, bits: bits, into: &content, from: 2 * blocks(count))
    return content
  }

  /// amounts ← a chunk of as many elements.
  func decode(_ content: [UInt8], into amounts: inout MutableSpan<Int32>) throws(CodecError) {
    let count = amounts.count
    guard content.count == length(count) else {
      throw .outOfRange(
        field: "chunk",
        value: "\(content.count) bytes",
        allowed: "\(length(count))"
      )
    }
    var codes = [Int8](repeating: 0, count: count)
    var target = codes.mutableSpan
    IntegerKernels.load(content, from: 2 * blocks(count), bits: bits, into: &target)
    for block in 0..<blocks(count) {
      let range = block * blockSize..<min(count, (block + 1) * blockSize)
      let code = StepCode(bits: UInt16(content[2 * block]) | UInt16(content[2 * block + 1]) << 8)
      // The most negative code of all, which no encoder writes, must not overflow either.
      guard code.value <= Int(Int32.max) / (Int(limit) + 1) else {
        throw .outOfRange(field: "step", value: "\(code.value)", allowed: "below 2^31 with codes")
      }
      var part = amounts._mutatingExtracting(range)
      IntegerKernels.expand(codes.span.extracting(range), step: Int32(code.value), into: &part)
    }
  }
}

/// A step in 16 bits: an integer below 2048 as it is, a larger one as 12 leading bits and an exponent.
struct StepCode: Equatable {
  /// exponent << 11 | fraction.
  let bits: UInt16

  /// The code of those bits.
  init(bits: UInt16) { self.bits = bits }

  /// The smallest step that is not below `step`.
  init(atLeast step: Int) {
    guard step >= 2048 else {
      bits = UInt16(max(0, step))
      return
    }
    var exponent = Int.bitWidth - 1 - step.leadingZeroBitCount - 11
    var leading = (step + (1 << exponent) - 1) >> exponent
    if leading == 4096 {
      leading = 2048
      exponent += 1
    }
    bits = UInt16((exponent + 1) << 11 | (leading - 2048))
  }

  /// The step.
  var value: Int {
    let fraction = Int(bits & 2047)
    let exponent = Int(bits >> 11)
    return exponent == 0 ? fraction : (2048 + fraction) << (exponent - 1)
  }
}
