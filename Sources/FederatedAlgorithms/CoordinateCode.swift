// Apache-2.0.
import Codecs

/// How one coordinate of a projection travels: as a multiple of the norm of what was projected.
///
/// Coordinates of a norm of one are close to normal numbers of deviation one. All but `sign` are rounded
/// at random to a neighbour, so that the expectation is the coordinate within the range.
enum CoordinateCode: String, Sendable, CaseIterable {
  /// `OneByteCode`: 12 % from one magnitude to the next.
  case log8
  /// Steps of 1/4000 of the norm.
  case fixed16
  /// Steps of 1/16.
  case fixed8
  /// Steps of 1/2, up to 3.5.
  case fixed4
  /// One bit: ±√(π/2), which for normal numbers is right on the average (Vargaftik et al., DRIVE, 2021).
  case sign

  /// Multiples of the norm are below this.
  static let largestRatio = 8.5
  private static let halfPiRoot = 1.2533141373155003
  private static let clip = 8.19

  /// Bits of a coordinate.
  var bits: Int {
    switch self {
    case .log8, .fixed8: 8
    case .fixed16: 16
    case .fixed4: 4
    case .sign: 1
    }
  }

  /// Steps a norm, and the largest number of them.
  private var steps: (each: Double, most: Int32) {
    switch self {
    case .fixed16: (4000, 32767)
    case .fixed8: (16, 127)
    default: (2, 7)
    }
  }

  /// The code of a finite ratio, in the low bits.
  func code(_ ratio: Double, random: UInt32) throws(CodecError) -> UInt32 {
    switch self {
    case .log8:
      return UInt32(
        try OneByteCode(Float(min(max(ratio, -Self.clip), Self.clip)), random: random).byte
      )
    case .sign: return ratio < 0 ? 1 : 0
    case .fixed16, .fixed8, .fixed4:
      let (each, most) = steps
      let exact = min(max(ratio * each, -Double(most)), Double(most))
      let below = exact.rounded(.down)
      let up = Double(random) * 0x1p-32 < exact - below
      return UInt32(bitPattern: Int32(below) + (up ? 1 : 0)) & UInt32(1 << bits - 1)
    }
  }

  /// The ratio of a code; nil for one that is never sent.
  func ratio(_ code: UInt32) -> Double? {
    switch self {
    case .log8:
      let known = OneByteCode(byte: UInt8(truncatingIfNeeded: code))
      let value = Double(known.value)
      return known.isSkipped || value.magnitude > Self.largestRatio ? nil : value
    case .sign: return code == 0 ? Self.halfPiRoot : -Self.halfPiRoot
    case .fixed16, .fixed8, .fixed4:
      let (each, most) = steps
      // Two's complement in `bits` bits.
      let value = Int32(bitPattern: code << UInt32(32 - bits)) >> Int32(32 - bits)
      return abs(value) > most ? nil : Double(value) / each
    }
  }
}
