// Apache-2.0.
import CZstd

/// Pieces compressed by zstd, one at a time, between buffers of the caller.
public enum Zstd {
  /// A frame of `bytes` where that is shorter than they are, else nil.
  ///
  /// - Parameter level: zstd's level, 1 to 19.
  public static func compressed(_ bytes: [UInt8], level: Int32 = 3) -> [UInt8]? {
    guard bytes.count > 1 else { return nil }
    let room = bytes.count - 1
    var isShorter = false
    // SAFETY: zstd writes at most the room it is told and reads bytes.count bytes.
    let short = unsafe [UInt8](unsafeUninitializedCapacity: room) { target, count in
      let code = unsafe bytes.withUnsafeBufferPointer { source in
        ZstdContext.with { context in
          unsafe ZSTD_compressCCtx(
            context.compressor,
            target.baseAddress,
            room,
            source.baseAddress,
            source.count,
            level
          )
        }
      }
      guard let code, ZSTD_isError(code) == 0 else { return }
      count = code
      isShorter = true
    }
    return isShorter ? short : nil
  }

  /// The content of a frame.
  ///
  /// - Parameter limit: the longest content in bytes; checked before anything is allocated.
  /// - Throws: `CodecError.outOfRange` or `.malformed`, naming `field`.
  public static func content(
    _ frame: ArraySlice<UInt8>,
    limit: Int,
    field: String
  ) throws(CodecError) -> [UInt8] {
    // SAFETY: zstd reads frame.count bytes.
    let size = unsafe frame.withUnsafeBufferPointer { source in
      unsafe ZSTD_getFrameContentSize(source.baseAddress, source.count)
    }
    // The two greatest values mean "unknown" and "no frame".
    guard size < UInt64.max - 1 else {
      throw .malformed(field: field, reason: "no zstd frame that says its size")
    }
    guard size <= UInt64(limit) else {
      throw .outOfRange(field: field, value: "\(size) bytes", allowed: "at most \(limit)")
    }
    var isWhole = false
    // SAFETY: zstd writes at most the capacity it is told.
    let content = unsafe [UInt8](unsafeUninitializedCapacity: Int(size)) { target, count in
      let code = unsafe frame.withUnsafeBufferPointer { source in
        ZstdContext.with { context in
          unsafe ZSTD_decompressDCtx(
            context.decompressor,
            target.baseAddress,
            Int(size),
            source.baseAddress,
            source.count
          )
        }
      }
      guard let code, ZSTD_isError(code) == 0 else { return }
      count = code
      isWhole = code == Int(size)
    }
    guard isWhole else {
      throw .malformed(field: field, reason: "a damaged zstd frame")
    }
    return content
  }
}
