// Apache-2.0.
import Glibc

/// The registry as a file that only grows, a line a record; one process has it open at a time.
final class FileRegistry: ClientRegistry {
  private let path: String
  private let file: Descriptor

  /// More than a million clients.
  private static let maximumBytes = 1 << 30

  /// Opens or creates the file.
  ///
  /// - Throws: `TransportError.file` where another process has it open.
  init(path: String) throws(TransportError) {
    let number = unsafe open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard number >= 0 else { throw .lastCall("open", path) }
    file = Descriptor(number)
    self.path = path
    try lock()
    try DurableFile.syncFolder(of: path)
  }

  /// Takes the file for this process.
  ///
  /// The holder may be on its way out, or a child of a process that has let go, before it runs its own
  /// program: for those the second attempts are.
  private func lock() throws(TransportError) {
    for _ in 0..<20 {
      if flock(file.number, LOCK_EX | LOCK_NB) == 0 { return }
      guard errno == EWOULDBLOCK || errno == EINTR else { break }
      _ = poll(nil, 0, 50)
    }
    throw .file(
      path: path,
      reason: "in use by another process; is a server running on this folder already?"
    )
  }

  func records() throws(TransportError) -> [RegistryRecord] {
    let bytes = try DurableFile.read(path, limit: Self.maximumBytes) ?? []
    // A line that a crash cut short was never answered for: it is taken away.
    let whole = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    if whole < bytes.count {
      guard ftruncate(file.number, whole) == 0, fsync(file.number) == 0 else {
        throw .lastCall("ftruncate", path)
      }
    }
    var records: [RegistryRecord] = []
    for (index, line) in bytes[..<whole].split(separator: UInt8(ascii: "\n")).enumerated() {
      guard let record = RegistryRecord(line: String(decoding: line, as: UTF8.self)) else {
        throw .file(path: path, reason: "line \(index + 1) is damaged; restore it from a backup")
      }
      records.append(record)
    }
    return records
  }

  func append(_ record: RegistryRecord) throws(TransportError) {
    let end = lseek(file.number, 0, SEEK_END)
    do throws(TransportError) {
      try file.writeAll(Array("\(record.line)\n".utf8), named: path)
      guard fsync(file.number) == 0 else { throw .lastCall("fsync", path) }
    } catch {
      // Half a line must not stand before the next one.
      _ = ftruncate(file.number, end)
      throw error
    }
  }
}
