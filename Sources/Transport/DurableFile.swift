// Apache-2.0.
import Glibc

/// Small files that are whole or absent, whatever happens, and of their owner alone.
enum DurableFile {
  /// Replaces `path` with `bytes`: a temporary file, fsync, rename, fsync of the folder.
  static func write(
    _ bytes: [UInt8],
    to path: String,
    mode: mode_t = 0o600
  ) throws(TransportError) {
    let temporary = "\(path).new"
    let number = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    guard number >= 0 else { throw .lastCall("open", temporary) }
    let file = Descriptor(number)
    // The mode of `open` is cut by the umask and ignored for a file left behind by a crash.
    guard fchmod(number, mode) == 0 else { throw .lastCall("fchmod", temporary) }
    try file.writeAll(bytes, named: temporary)
    guard fsync(number) == 0 else { throw .lastCall("fsync", temporary) }
    guard unsafe rename(temporary, path) == 0 else { throw .lastCall("rename", path) }
    try syncFolder(of: path)
  }

  /// Makes the names in a file's folder durable.
  static func syncFolder(of path: String) throws(TransportError) {
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    let number = unsafe open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard number >= 0 else { throw .lastCall("open", folder) }
    let descriptor = Descriptor(number)
    guard fsync(descriptor.number) == 0 else { throw .lastCall("fsync", folder) }
  }

  /// The whole of a file of at most `limit` bytes; nil where there is none.
  static func read(_ path: String, limit: Int = 64 << 10) throws(TransportError) -> [UInt8]? {
    let number = unsafe open(path, O_RDONLY | O_CLOEXEC)
    if number < 0, errno == ENOENT { return nil }
    guard number >= 0 else { throw .lastCall("open", path) }
    let file = Descriptor(number)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      // SAFETY: the kernel writes at most as many bytes as there is room for.
      let count = unsafe Glibc.read(file.number, &buffer, buffer.count)
      guard count >= 0 else { throw .lastCall("read", path) }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
      guard bytes.count <= limit else {
        throw .file(path: path, reason: "longer than \(limit) bytes")
      }
    }
  }

  /// The whole of a text file that must be there.
  static func text(_ path: String) throws(TransportError) -> String {
    guard let bytes = try read(path) else { throw .file(path: path, reason: "does not exist") }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Makes a folder for its owner alone, unless there is one.
  static func makeFolder(_ path: String) throws(TransportError) {
    guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else { throw .lastCall("mkdir", path) }
  }
}

extension Descriptor {
  /// Writes all of `bytes` to a file.
  borrowing func writeAll(_ bytes: [UInt8], named path: String) throws(TransportError) {
    try writeAll(bytes[...], named: path)
  }

  /// Writes all of `bytes` to a file.
  borrowing func writeAll(_ bytes: ArraySlice<UInt8>, named path: String) throws(TransportError) {
    var rest = bytes
    while !rest.isEmpty {
      // SAFETY: the kernel reads the bytes of the slice.
      let count = unsafe rest.withUnsafeBytes { buffer in
        unsafe Glibc.write(number, buffer.baseAddress, buffer.count)
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .lastCall("write", path) }
      rest = rest.dropFirst(count)
    }
  }
}
