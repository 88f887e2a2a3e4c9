// Apache-2.0.
import Glibc

/// A file mapped read-only into memory; unmapped when the last reference goes.
///
/// Pages come from the disk as they are read and go when memory is short, so a model larger than
/// memory costs only what is used of it.
@safe public final class MappedFile: @unchecked Sendable {
  /// The path it was opened by.
  public let path: String
  /// Bytes of the file.
  public let byteCount: Int
  // SAFETY: the mapping is read-only, is unmapped only in deinit, and is never written.
  private let start: UnsafeRawPointer?

  /// Maps a regular file.
  ///
  /// - Throws: `ModelFileError.system` with the call's `errno`.
  public init(path: String) throws(ModelFileError) {
    self.path = path
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(attempt: "open \(path)", code: errno) }
    // A mapping outlives the descriptor it was made of.
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw .system(attempt: "read the size of \(path)", code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .malformed(file: path, reason: "not a regular file")
    }
    byteCount = Int(status.st_size)
    if byteCount == 0 {
      unsafe start = nil
      return
    }
    let mapped = unsafe mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else {
      throw .system(attempt: "map \(path)", code: errno)
    }
    unsafe start = UnsafeRawPointer(mapped)
  }

  deinit {
    if let start = unsafe start {
      unsafe munmap(UnsafeMutableRawPointer(mutating: start), byteCount)
    }
  }

  /// Lets the system have back the memory of all pages, which come from the file again when read.
  public func releasePages() {
    guard let start = unsafe start else { return }
    // SAFETY: the whole of a mapping nobody writes to. The advice may fail.
    unsafe madvise(UnsafeMutableRawPointer(mutating: start), byteCount, MADV_DONTNEED)
  }

  /// The bytes of a range, valid as long as this object.
  @unsafe public func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount, "\(range) of \(path)")
    guard let start = unsafe start else {
      return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }
    return unsafe UnsafeRawBufferPointer(start: start + range.lowerBound, count: range.count)
  }
}
