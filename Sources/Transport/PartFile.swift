// Apache-2.0.
import Codecs
import Glibc
import WireProtocol

/// A part of an announced message.
typealias AnnouncedPiece = Announcement.Piece

/// A block that arrives, from its first byte to its last.
// SAFETY: touched on the thread of its store alone, but for what never changes and `kept`, which is
// set before the part is handed out.
final class OpenPart: @unchecked Sendable {
  let path: String
  let digest: Digest
  let length: Int
  /// Bytes that were there when it was opened.
  let kept: Int
  private var file: DescriptorBox?
  private var hasher = SHA256()
  private var count: Int

  /// Opens or makes the file; what is there is hashed again.
  init(_ path: String, _ digest: Digest, length: Int) throws(TransportError) {
    self.path = path
    self.digest = digest
    self.length = length
    let number = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard number >= 0 else { throw .lastCall("open", path) }
    let box = DescriptorBox(Descriptor(number))
    var found = 0
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while found <= length {
      // SAFETY: the kernel writes at most as many bytes as there is room for.
      let count = unsafe read(number, &buffer, buffer.count)
      guard count >= 0 else { throw .lastCall("read", path) }
      if count == 0 { break }
      // SAFETY: plain bytes have no padding that the raw view could expose.
      unsafe hasher.update(buffer.span.extracting(0..<count).bytes)
      found += count
    }
    if found > length {
      // Not a beginning of this block, whatever it is.
      guard ftruncate(number, 0) == 0, lseek(number, 0, Int32(SEEK_SET)) == 0 else {
        throw .lastCall("ftruncate", path)
      }
      hasher = SHA256()
      found = 0
    }
    kept = found
    count = found
    file = box
  }

  /// Adds bytes.
  func append(_ bytes: ArraySlice<UInt8>) throws(TransportError) {
    guard let file else { throw .file(path: path, reason: "is written by another connection") }
    guard count + bytes.count <= length else {
      throw .file(path: path, reason: "would be longer than announced")
    }
    try file.descriptor.writeAll(bytes, named: path)
    // SAFETY: plain bytes have no padding that the raw view could expose.
    unsafe hasher.update(bytes.span.bytes)
    count += bytes.count
  }

  /// Whether it is complete and right; it is removed where it is wrong.
  func check() throws(TransportError) {
    guard file != nil else {
      throw .file(path: path, reason: "is written by another connection")
    }
    guard count == length else {
      throw .file(path: path, reason: "has \(count) of \(length) bytes")
    }
    var made = SHA256()
    swap(&made, &hasher)
    guard made.finalize() == digest else {
      _ = unsafe unlink(path)
      throw .refused("a block is not what its digest says")
    }
  }

  /// Lets go of the file.
  func close() { file = nil }
}

/// Files of a store's folder.
enum PartFile {
  /// The parts and whole blocks in `folder`.
  static func entries(of folder: String) -> [PartStore.Entry] {
    guard let directory = unsafe opendir(folder) else { return [] }
    defer { unsafe closedir(directory) }
    var found: [PartStore.Entry] = []
    while let entry = unsafe readdir(directory) {
      // SAFETY: the name ends with a zero within its field; copied before the next call.
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard name.hasSuffix(".part") || name.hasSuffix(".whole") else { continue }
      var status = stat()
      guard unsafe stat("\(folder)/\(name)", &status) == 0 else { continue }
      let touched = Duration.seconds(status.st_mtim.tv_sec)
      found.append(PartStore.Entry(name: name, bytes: Int(status.st_size), touched: touched))
    }
    return found
  }

  /// Appends a file of `length` bytes to `bytes`.
  static func append(
    _ path: String,
    length: Int,
    to bytes: inout [UInt8]
  ) throws(TransportError) {
    let number = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw .lastCall("open", path) }
    let file = Descriptor(number)
    var left = length
    var buffer = [UInt8](repeating: 0, count: min(1 << 20, max(1, length)))
    while left > 0 {
      // SAFETY: the kernel writes at most as many bytes as it is told, which there is room for.
      let count = unsafe read(file.number, &buffer, min(left, buffer.count))
      guard count > 0 else { throw .lastCall("read", path) }
      bytes += buffer[..<count]
      left -= count
    }
  }
}
