// Apache-2.0.
import Glibc

/// A file that only grows: what was written stays, whatever becomes of the process.
@safe public struct AppendFile: ~Copyable {
  /// Where it stands.
  public let path: String
  private let descriptor: Int32

  /// Opens a file, makes it where there is none, and cuts it to its first `length` bytes.
  ///
  /// - Throws: `ModelFileError.system` with the call's `errno`.
  public init(path: String, keeping length: Int) throws(ModelFileError) {
    self.path = path
    descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .system(attempt: "open \(path)", code: errno) }
    guard ftruncate(descriptor, off_t(length)) == 0 else {
      let code = errno
      close(descriptor)
      throw .system(attempt: "cut \(path)", code: code)
    }
  }

  /// Appends bytes; after a crash of the process they are there up to some point, in order.
  ///
  /// - Throws: `ModelFileError.system`, as when the disk is full.
  public mutating func write(_ bytes: [UInt8]) throws(ModelFileError) {
    // SAFETY: plain bytes have no padding that the raw view could expose.
    try unsafe writeAll(bytes.span.bytes, to: descriptor, path: path)
  }

  deinit { close(descriptor) }
}
