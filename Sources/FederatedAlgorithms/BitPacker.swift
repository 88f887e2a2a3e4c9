// Apache-2.0.

/// Writes codes of a few bits one after the other, low bits first.
struct BitPacker {
  private var bytes: [UInt8] = []
  private var pending: UInt64 = 0
  private var count = 0

  mutating func append(_ code: UInt32, bits: Int) {
    pending |= UInt64(code) << UInt64(count)
    count += bits
    while count >= 8 {
      bytes.append(UInt8(truncatingIfNeeded: pending))
      pending >>= 8
      count -= 8
    }
  }

  /// All bytes, the last one filled up with zeros.
  mutating func finish() -> [UInt8] {
    if count > 0 { bytes.append(UInt8(truncatingIfNeeded: pending)) }
    (pending, count) = (0, 0)
    return bytes
  }
}

/// Reads codes of a few bits, low bits first; whoever reads knows how many there are.
struct BitReader {
  private let bytes: [UInt8]
  private var position: Int
  private var pending: UInt64 = 0
  private var count = 0

  init(_ bytes: [UInt8], from position: Int) {
    self.bytes = bytes
    self.position = position
  }

  mutating func next(_ bits: Int) -> UInt32 {
    while count < bits, position < bytes.count {
      pending |= UInt64(bytes[position]) << UInt64(count)
      position += 1
      count += 8
    }
    let code = UInt32(truncatingIfNeeded: pending) & UInt32(1 << bits - 1)
    pending >>= UInt64(bits)
    count -= bits
    return code
  }

  /// Whether nothing but zeros is left.
  var restIsZero: Bool {
    pending == 0 && bytes[min(position, bytes.count)...].allSatisfy { $0 == 0 }
  }
}
