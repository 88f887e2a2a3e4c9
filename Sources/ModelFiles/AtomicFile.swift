// Apache-2.0.
import Glibc

/// A file that appears whole under its name or not at all: written beside it, synced, renamed.
@safe public struct AtomicFile: ~Copyable {
  /// Where it will stand.
  public let path: String
  private let temporary: String
  private let descriptor: Int32

  /// Begins a file; what stands at `path` stays until `commit`.
  ///
  /// - Throws: `ModelFileError.system` with the call's `errno`.
  public init(path: String) throws(ModelFileError) {
    self.path = path
    var template = Array("\(path).XXXXXX".utf8CString)
    descriptor = unsafe mkstemp(&template)
    guard descriptor >= 0 else {
      throw .system(attempt: "create a file beside \(path)", code: errno)
    }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    temporary = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    // mkostemp makes it private; a model's files are as readable as the folder they stand in.
    fchmod(descriptor, 0o644)
  }

  /// Appends bytes.
  ///
  /// - Throws: `ModelFileError.system`, as when the disk is full.
  public mutating func write(_ bytes: RawSpan) throws(ModelFileError) {
    try writeAll(bytes, to: descriptor, path: temporary)
  }

  /// Appends bytes.
  public mutating func write(_ bytes: [UInt8]) throws(ModelFileError) {
    // SAFETY: plain bytes have no padding that the raw view could expose.
    try unsafe write(bytes.span.bytes)
  }

  /// Makes the file durable and gives it its name, replacing what stood there.
  ///
  /// - Throws: `ModelFileError.system`; the old file then stands untouched.
  public consuming func commit() throws(ModelFileError) {
    guard fsync(descriptor) == 0 else {
      throw .system(attempt: "sync \(temporary)", code: errno)
    }
    guard unsafe rename(temporary, path) == 0 else {
      throw .system(attempt: "rename \(temporary) to \(path)", code: errno)
    }
    // The name is durable only once the folder is.
    let folder = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[..<$0]) } ?? "."
    let handle = unsafe open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if handle >= 0 {
      fsync(handle)
      close(handle)
    }
  }

  deinit {
    // After a commit the temporary name is gone and this does nothing.
    unsafe unlink(temporary)
    close(descriptor)
  }
}
