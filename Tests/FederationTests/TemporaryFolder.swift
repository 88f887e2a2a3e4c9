// Apache-2.0.
import Glibc

/// A folder with files, gone when the test is over.
struct TemporaryFolder: ~Copyable {
  let path: String

  init() {
    var template = Array("/tmp/samara-federation-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { fatalError("no temporary folder: \(errno)") }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Writes a file and returns its path.
  func write(_ name: String, _ text: String) -> String { write(name, bytes: Array(text.utf8)) }

  /// Writes a file, in a folder of its own where the name says so, and returns its path.
  func write(_ name: String, bytes: [UInt8]) -> String {
    if let slash = name.lastIndex(of: "/") { _ = unsafe mkdir("\(path)/\(name[..<slash])", 0o700) }
    let file = "\(path)/\(name)"
    guard let handle = unsafe fopen(file, "w") else { fatalError("cannot write \(file)") }
    _ = unsafe fwrite(bytes, 1, bytes.count, handle)
    unsafe fclose(handle)
    return file
  }

  /// Takes a file away, where it is there.
  func remove(_ name: String) { Self.remove("\(path)/\(name)") }

  deinit { Self.remove(path) }

  private static func remove(_ path: String) {
    guard let folder = unsafe opendir(path) else {
      _ = unsafe unlink(path)
      return
    }
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { remove("\(path)/\(name)") }
    }
    unsafe closedir(folder)
    _ = unsafe rmdir(path)
  }
}
