// Apache-2.0.
import CZstd
import Synchronization

/// What zstd works in, kept from piece to piece: making it takes longer than a short piece.
///
/// What a piece becomes does not depend on those before it.
// SAFETY: whoever has taken one has it alone; freed once.
@safe final class ZstdContext: @unchecked Sendable {
  let compressor: OpaquePointer
  let decompressor: OpaquePointer

  /// As many as threads work at one time, or less.
  private static let idle = Mutex<[ZstdContext]>([])
  private static let most = 8
  /// Bytes of one that is kept: high levels ask for much more than most pieces need.
  private static let largest = 4 << 20

  private init?() {
    guard let compressor = unsafe ZSTD_createCCtx() else { return nil }
    guard let decompressor = unsafe ZSTD_createDCtx() else {
      unsafe ZSTD_freeCCtx(compressor)
      return nil
    }
    unsafe self.compressor = compressor
    unsafe self.decompressor = decompressor
  }

  deinit {
    unsafe ZSTD_freeCCtx(compressor)
    unsafe ZSTD_freeDCtx(decompressor)
  }

  /// Calls `body` with a context; nil where there is no memory for one.
  static func with<Value>(_ body: (ZstdContext) -> Value) -> Value? {
    guard let context = idle.withLock({ $0.popLast() }) ?? ZstdContext() else { return nil }
    let value = body(context)
    let bytes = unsafe ZSTD_sizeof_CCtx(context.compressor)
    if bytes <= largest { idle.withLock { if $0.count < most { $0.append(context) } } }
    return value
  }
}
