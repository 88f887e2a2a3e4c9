// Apache-2.0.
import Codecs

/// Which pairs of tokens merge: rank (lower first) and result, by open addressing.
struct PairTable: Sendable {
  /// What a pair that does not merge has in place of rank and result.
  static let none = UInt64.max

  private var keys: [UInt64]
  private var values: [UInt64]
  private let shift: UInt64

  /// No pair is of two such ids: they are below 2³¹.
  private static let free = UInt64.max

  /// A table for `count` pairs.
  init(count: Int) {
    var bits: UInt64 = 4
    while (1 << bits) * 2 < count * 3 { bits += 1 }
    shift = 64 - bits
    keys = [UInt64](repeating: Self.free, count: 1 << bits)
    values = [UInt64](repeating: Self.none, count: 1 << bits)
  }

  /// Sets a pair's rank and result, the later ones counting; false where too many pairs collide.
  mutating func insert(_ left: Int32, _ right: Int32, rank: Int, result: Int32) -> Bool {
    let key = Self.key(left, right)
    var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> shift)
    var probes = 0
    while keys[slot] != Self.free, keys[slot] != key {
      slot = (slot + 1) & (keys.count - 1)
      probes += 1
      if probes == Vocabulary.maximumProbes { return false }
    }
    keys[slot] = key
    values[slot] = UInt64(rank) << 32 | UInt64(result)
    return true
  }

  /// `rank << 32 | result`, or `none`.
  @inline(__always)
  subscript(left: Int32, right: Int32) -> UInt64 {
    let key = Self.key(left, right)
    var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> shift)
    while keys[slot] != key {
      if keys[slot] == Self.free { return Self.none }
      slot = (slot + 1) & (keys.count - 1)
    }
    return values[slot]
  }

  @inline(__always)
  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }
}
