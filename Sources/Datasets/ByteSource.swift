// Apache-2.0.
import Glibc

/// The bytes of a file one after another, read in pieces: memory does not grow with the file.
struct ByteSource: ~Copyable {
  private let descriptor: Int32
  private let path: String
  private var buffer = [UInt8](repeating: 0, count: 64 << 10)
  private var position = 0
  private var end = 0

  /// Opens a file; a byte order mark at its start is passed over.
  init(path: String) throws(DatasetError) {
    self.path = path
    // SAFETY: open reads the path, a NUL-terminated copy.
    descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(attempt: "open \(path)", code: errno) }
    try fill()
    if buffer[0..<end].starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The next byte, nil at the end.
  mutating func next() throws(DatasetError) -> UInt8? {
    if position == end { try fill() }
    guard position < end else { return nil }
    defer { position += 1 }
    return buffer[position]
  }

  private mutating func fill() throws(DatasetError) {
    position = 0
    end = 0
    while true {
      // SAFETY: read writes at most the buffer's length.
      let count = unsafe read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .system(attempt: "read \(path)", code: errno) }
      end = count
      return
    }
  }
}

/// One line or record of a file: where it begins, and its content or why it has none.
struct Numbered<Content> {
  /// Line of the file, from 1.
  let line: Int
  /// The content, or why the line is skipped.
  let content: Result<Content, RowFault>
}

/// Why a row gives no example.
struct RowFault: Error, Equatable {
  let reason: String
}

/// The lines of a file, each bounded in length.
struct LineReader: ~Copyable {
  private var source: ByteSource
  private let limit: Int
  private var number = 0

  /// Lines of at most `limit` bytes; longer ones are passed over and told as faults.
  init(path: String, limit: Int) throws(DatasetError) {
    source = try ByteSource(path: path)
    self.limit = limit
  }

  /// The next line without its ending (LF or CR LF), nil at the end of the file.
  mutating func next() throws(DatasetError) -> Numbered<[UInt8]>? {
    guard var byte = try source.next() else { return nil }
    number += 1
    var line: [UInt8] = []
    var isTooLong = false
    while byte != UInt8(ascii: "\n") {
      if line.count < limit { line.append(byte) } else { isTooLong = true }
      guard let following = try source.next() else { break }
      byte = following
    }
    if line.last == UInt8(ascii: "\r") { line.removeLast() }
    guard !isTooLong else {
      return Numbered(
        line: number,
        content: .failure(RowFault(reason: "longer than \(limit) bytes"))
      )
    }
    return Numbered(line: number, content: .success(line))
  }
}
