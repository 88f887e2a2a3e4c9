// Apache-2.0.
import Tensors

/// The stored bytes of a tensor, aligned for its type and alive as long as this object.
@safe public final class TensorBytes: @unchecked Sendable {
  // SAFETY: read-only bytes of the mapping or of the copy, one of which is kept alive here.

  /// The elements, little-endian and row-major.
  @unsafe public let bytes: UnsafeRawBufferPointer
  /// Bytes copied out of the file because they were not aligned in it; 0 where the mapping serves.
  public let copiedBytes: Int
  private let mapping: MappedFile
  private let copy: AlignedBuffer?

  /// The bytes of `entry`, copied only where the file holds them misaligned.
  init(file: SafetensorsFile, entry: SafetensorsEntry, type: ElementType) {
    mapping = file.file
    let stored = unsafe file.bytes(of: entry)
    let address = UInt(bitPattern: stored.baseAddress)
    if address % UInt(type.byteCount) == 0 {
      unsafe bytes = stored
      copy = nil
      copiedBytes = 0
    } else {
      let buffer = AlignedBuffer(byteCount: stored.count)
      // SAFETY: the buffer has the size of what is copied.
      let target = unsafe UnsafeMutableRawBufferPointer(
        start: buffer.baseAddress,
        count: stored.count
      )
      unsafe target.copyMemory(from: stored)
      unsafe bytes = UnsafeRawBufferPointer(target)
      copy = buffer
      copiedBytes = stored.count
    }
  }
}
