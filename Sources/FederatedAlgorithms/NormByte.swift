// Apache-2.0.

/// A norm in one byte: five bits of exponent over three of significand, eight steps an octave.
///
///     byte 0         zero
///     byte b         (8 + b mod 8) · 2^(b / 8 − 26), up to 480
///
/// Rounded to one of the two neighbours so that the expectation is the norm, within the range.
struct NormByte: Sendable, Equatable {
  /// The byte that travels.
  let byte: UInt8

  /// The norm in units of 2^−26, a whole number.
  var units: UInt64 { byte == 0 ? 0 : UInt64(8 + byte & 7) << UInt64(byte >> 3) }

  /// The norm.
  var value: Double { Double(units) * 0x1p-26 }

  init(byte: UInt8) { self.byte = byte }

  /// The byte of a finite norm that is not negative.
  init(_ norm: Double, random: UInt32) {
    let below = Self.below(norm)
    let low = NormByte(byte: below).value
    guard below < 255 else {
      self.init(byte: below)
      return
    }
    let fraction = (norm - low) / (NormByte(byte: below + 1).value - low)
    self.init(byte: Double(random) * 0x1p-32 < fraction ? below + 1 : below)
  }

  /// The smallest byte of at least `norm`.
  init(covering norm: Double) {
    let below = Self.below(norm)
    self.init(byte: NormByte(byte: below).value < norm && below < 255 ? below + 1 : below)
  }

  /// The largest byte of at most `norm`.
  private static func below(_ norm: Double) -> UInt8 {
    var low: UInt8 = 0
    var high = 256
    while high - Int(low) > 1 {
      let middle = UInt8((Int(low) + high) / 2)
      if NormByte(byte: middle).value <= norm { low = middle } else { high = Int(middle) }
    }
    return low
  }
}
