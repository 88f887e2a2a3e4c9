// Apache-2.0.
import Codecs
import Glibc

/// Great payloads beside the ledger, each a file named by its SHA-256, written once and never changed.
///
///     DIGEST.whole    a block that arrived and is what its name says; nobody has kept it yet
///     DIGEST          one that a record may refer to
///
/// A file has its lasting name and is on the disk before the record that refers to it is committed, and is
/// removed only after the checkpoint that makes it needless is.
struct BlobFolder {
  let path: String

  /// Shorter payloads lie within their records.
  static let least = 64 << 10

  init(_ path: String) throws(LedgerError) {
    self.path = path
    guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
      throw Self.failure("mkdir", path)
    }
  }

  /// Makes the bytes durable, but for the folder's entry, which `sync` does; their name.
  func keep(_ bytes: [UInt8]) throws(LedgerError) -> Digest {
    let digest = Digest.sha256(of: bytes)
    let file = "\(path)/\(digest)"
    if size(of: file) == bytes.count { return digest }
    let whole = "\(file).whole"
    if size(of: whole) == bytes.count, try sync(whole), unsafe rename(whole, file) == 0 {
      return digest
    }
    let temporary = "\(file).new"
    let number = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard number >= 0 else { throw Self.failure("open", temporary) }
    defer { _ = close(number) }
    var rest = bytes[...]
    while !rest.isEmpty {
      // SAFETY: the kernel reads the bytes of the slice.
      let count = unsafe rest.withUnsafeBytes { buffer in
        unsafe write(number, buffer.baseAddress, buffer.count)
      }
      guard count >= 0 else { throw Self.failure("write", temporary) }
      rest = rest.dropFirst(count)
    }
    guard fdatasync(number) == 0 else { throw Self.failure("fdatasync", temporary) }
    guard unsafe rename(temporary, file) == 0 else { throw Self.failure("rename", file) }
    return digest
  }

  /// Makes the names of what was kept durable.
  func sync() throws(LedgerError) {
    let number = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard number >= 0 else { throw Self.failure("open", path) }
    defer { _ = close(number) }
    guard fsync(number) == 0 else { throw Self.failure("fsync", path) }
  }

  /// The bytes of a name, nil where they are not there or not what the name says.
  func load(_ digest: Digest, length: Int) -> [UInt8]? {
    let file = "\(path)/\(digest)"
    guard size(of: file) == length else { return nil }
    let number = unsafe open(file, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { return nil }
    defer { _ = close(number) }
    // SAFETY: the kernel writes at most as many bytes as it is told, which there is room for.
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: length) { buffer, filled in
      while filled < length {
        let count = unsafe read(
          number,
          buffer.baseAddress.map { unsafe $0 + filled },
          length - filled
        )
        if count <= 0 { break }
        filled += count
      }
    }
    return bytes.count == length && Digest.sha256(of: bytes) == digest ? bytes : nil
  }

  /// Removes files with a lasting name that no record needs.
  ///
  /// Their commit never came, or a checkpoint has made them needless. Nobody else may be about to commit one.
  func removeStrays(except names: Set<Digest>) {
    let needed = Set(names.map(\.description))
    guard let directory = unsafe opendir(path) else { return }
    defer { unsafe closedir(directory) }
    while let entry = unsafe readdir(directory) {
      // SAFETY: the name ends with a zero within its field; copied before the next call.
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard name.utf8.count == 64 && !needed.contains(name) || name.hasSuffix(".new") else {
        continue
      }
      _ = unsafe unlink("\(path)/\(name)")
    }
  }

  /// Removes a file that no record needs any more; one that is gone already is fine, and one that
  /// cannot be removed is a stray of the next start.
  func remove(_ digest: Digest) { _ = unsafe unlink("\(path)/\(digest)") }

  private func sync(_ file: String) throws(LedgerError) -> Bool {
    let number = unsafe open(file, O_RDONLY | O_CLOEXEC)
    // Its lease may have ended this moment.
    guard number >= 0 else { return false }
    defer { _ = close(number) }
    guard fdatasync(number) == 0 else { throw Self.failure("fdatasync", file) }
    return true
  }

  private func size(of file: String) -> Int? {
    var status = stat()
    return unsafe stat(file, &status) == 0 ? Int(status.st_size) : nil
  }

  private static func failure(_ call: String, _ subject: String) -> LedgerError {
    let code = errno
    // SAFETY: strerror's text is copied at once.
    return .file(call: call, path: subject, reason: unsafe String(cString: strerror(code)))
  }
}
