// Apache-2.0.

/// One byte for a scalar: a sign bit over a logarithmic 7-bit code.
///
///     bit 7      sign, set for negative
///     bits 0–6   0: zero; c = 1...127: 0.001 · 2^((c − 1) / 6), up to 2097
///     0x80       the step was skipped because a loss was not finite
///
/// The magnitudes are stored bits, so decoding calls no mathematics library. Stochastic rounding
/// between neighbours makes the expected decoded value the scalar itself, within the range.
public struct OneByteCode: Sendable, Hashable {
  /// The byte that travels.
  public let byte: UInt8

  /// Zero.
  public static let zero = OneByteCode(byte: 0)
  /// A step that does not count.
  public static let skipped = OneByteCode(byte: 0x80)
  /// The largest magnitude that has a code.
  public static let largestMagnitude = Float(bitPattern: magnitudeBits[127])
  /// The smallest magnitude that has a code of its own.
  public static let smallestMagnitude = Float(bitPattern: magnitudeBits[1])

  /// A code from its byte; every byte is one.
  public init(byte: UInt8) { self.byte = byte }

  /// The code of `value`, rounded to one of its two neighbours so that the expectation is `value`.
  ///
  /// Magnitudes past the largest saturate.
  ///
  /// - Parameters:
  ///   - value: a finite scalar.
  ///   - random: 32 uniform random bits that nothing else uses.
  /// - Throws: `CodecError.outOfRange` for NaN and infinities.
  public init(_ value: Float, random: UInt32) throws(CodecError) {
    let below = try Self.codeBelow(value)
    guard below < 127 else {
      self.init(code: 127, negative: value < 0)
      return
    }
    let low = Double(Self.magnitude(below))
    let high = Double(Self.magnitude(below + 1))
    let fraction = (Double(value.magnitude) - low) / (high - low)
    let up = Double(random) * 0x1p-32 < fraction
    self.init(code: up ? below + 1 : below, negative: value < 0)
  }

  /// The code of the magnitude nearest to `value`, the smaller one on ties.
  ///
  /// - Throws: `CodecError.outOfRange` for NaN and infinities.
  public init(nearest value: Float) throws(CodecError) {
    let below = try Self.codeBelow(value)
    guard below < 127 else {
      self.init(code: 127, negative: value < 0)
      return
    }
    let distance = Double(value.magnitude) - Double(Self.magnitude(below))
    let up = distance > Double(Self.magnitude(below + 1)) - Double(value.magnitude)
    self.init(code: up ? below + 1 : below, negative: value < 0)
  }

  /// Whether the step was skipped.
  public var isSkipped: Bool { byte == 0x80 }

  /// The scalar, zero for a skipped step.
  public var value: Float {
    let magnitude = Self.magnitude(Int(byte & 0x7F))
    return byte > 0x80 ? -magnitude : magnitude
  }

  /// A negative scalar that rounds to zero is plain zero: 0x80 means something else.
  private init(code: Int, negative: Bool) {
    byte = UInt8(code) | (negative && code > 0 ? 0x80 : 0)
  }

  private static func magnitude(_ code: Int) -> Float { Float(bitPattern: magnitudeBits[code]) }

  /// The largest code whose magnitude is at most |value|.
  private static func codeBelow(_ value: Float) throws(CodecError) -> Int {
    guard value.isFinite else {
      throw .outOfRange(field: "scalar", value: "\(value)", allowed: "finite numbers")
    }
    // Bits of non-negative floats order as the floats do.
    let bits = value.magnitude.bitPattern
    var low = 0
    var high = 128
    while high - low > 1 {
      let middle = (low + high) / 2
      if magnitudeBits[middle] <= bits { low = middle } else { high = middle }
    }
    return low
  }
}
