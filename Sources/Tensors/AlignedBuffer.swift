// Apache-2.0.

/// Owner of zeroed memory aligned to 64 bytes, the width of a cache line and of the widest vector.
///
/// Threads may write disjoint ranges through `baseAddress`; nothing here synchronises them.
@safe public final class AlignedBuffer: @unchecked Sendable {
  // SAFETY: the class holds an address and a length that never change; who writes through the
  // address keeps ranges disjoint, as every kernel call does.

  /// Bytes usable.
  public let byteCount: Int

  /// First byte, a multiple of 64; the memory lives as long as this object.
  @unsafe public let baseAddress: UnsafeMutableRawPointer

  /// Zeroed memory of `byteCount` bytes; traps where there is no memory.
  public init(byteCount: Int) {
    precondition(byteCount >= 0, "a buffer of \(byteCount) bytes")
    self.byteCount = byteCount
    // Whole lines, so that a kernel may touch the last one as a vector.
    let allocated = max(64, (byteCount + 63) & ~63)
    unsafe baseAddress = .allocate(byteCount: allocated, alignment: 64)
    unsafe baseAddress.initializeMemory(as: UInt8.self, repeating: 0, count: allocated)
  }

  /// Zeroed memory for `count` values of 32 bits.
  public convenience init(floats count: Int) { self.init(byteCount: count * 4) }

  deinit { unsafe baseAddress.deallocate() }

  /// The memory as floats.
  @unsafe public var floats: UnsafeMutableBufferPointer<Float> {
    // SAFETY: within the allocation, aligned, and Float has no invalid bits.
    unsafe UnsafeMutableBufferPointer(
      start: baseAddress.assumingMemoryBound(to: Float.self),
      count: byteCount / 4
    )
  }

  /// The memory as words of sign bits.
  @unsafe public var words: UnsafeMutableBufferPointer<UInt64> {
    // SAFETY: within the allocation, aligned, and UInt64 has no invalid bits.
    unsafe UnsafeMutableBufferPointer(
      start: baseAddress.assumingMemoryBound(to: UInt64.self),
      count: byteCount / 8
    )
  }
}
