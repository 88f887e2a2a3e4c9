// Apache-2.0.

/// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy
/// as 1, 2, 3" (SC 2011).
public enum Philox {
  /// The 128 random bits of a counter under a key.
  public static func block(
    _ counter: SIMD4<UInt32>,
    key: UInt64
  ) -> SIMD4<UInt32> {
    var x = counter
    var k0 = UInt32(truncatingIfNeeded: key)
    var k1 = UInt32(truncatingIfNeeded: key >> 32)
    for _ in 0..<10 {
      let p = UInt64(0xD251_1F53) * UInt64(x[0])
      let q = UInt64(0xCD9E_8D57) * UInt64(x[2])
      x = SIMD4(
        UInt32(truncatingIfNeeded: q >> 32) ^ x[1] ^ k0,
        UInt32(truncatingIfNeeded: q),
        UInt32(truncatingIfNeeded: p >> 32) ^ x[3] ^ k1,
        UInt32(truncatingIfNeeded: p)
      )
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return x
  }
}
