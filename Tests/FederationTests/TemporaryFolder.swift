// Apache-2.0.
import Glibc

/// A folder with files, gone when the test is over.
struct TemporaryFolder: ~Copyable {
  let path: String
  private var written: [String] = []
  private var folders: [String] = []

  init() {
    var template = Array("/tmp/samara-data-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { fatalError("no temporary folder: \(errno)") }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Writes a file and returns its path.
  mutating func write(_ name: String, _ text: String) -> String {
    write(name, bytes: Array(text.utf8))
  }

  mutating func write(_ name: String, bytes: [UInt8]) -> String {
    if let slash = name.lastIndex(of: "/") {
      let folder = "\(path)/\(name[..<slash])"
      if unsafe mkdir(folder, 0o700) == 0 { folders.append(folder) }
    }
    let file = "\(path)/\(name)"
    guard let handle = unsafe fopen(file, "w") else { fatalError("cannot write \(file)") }
    _ = unsafe fwrite(bytes, 1, bytes.count, handle)
    unsafe fclose(handle)
    written.append(file)
    return file
  }

  deinit {
    for file in written { unsafe unlink(file) }
    for folder in folders { unsafe rmdir(folder) }
    unsafe rmdir(path)
  }
}
