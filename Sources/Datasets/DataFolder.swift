// Apache-2.0.
import Glibc

/// The files of a folder of data.
enum DataFolder {
  /// Whether a path is a folder.
  static func isFolder(_ path: String) -> Bool {
    guard let handle = unsafe opendir(path) else { return false }
    unsafe closedir(handle)
    return true
  }

  /// Paths of the files below a folder, relative to it and bytewise sorted; hidden ones are left out.
  static func files(_ folder: String) throws(DatasetError) -> [String] {
    var found: [String] = []
    var waiting = [""]
    while let prefix = waiting.popLast() {
      let path = prefix.isEmpty ? folder : "\(folder)/\(prefix)"
      guard let handle = unsafe opendir(path) else {
        throw .system(attempt: "read the folder \(path)", code: errno)
      }
      defer { unsafe closedir(handle) }
      while let entry = unsafe readdir(handle) {
        // SAFETY: readdir ends d_name with a zero and leaves it alone until the next call.
        let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { tuple in
          unsafe tuple.withMemoryRebound(to: CChar.self, capacity: 256) {
            unsafe String(cString: $0)
          }
        }
        guard !name.hasPrefix(".") else { continue }
        let relative = prefix.isEmpty ? name : "\(prefix)/\(name)"
        // A link is followed to a file, never to a folder: folders that hold themselves end there.
        switch unsafe Int(entry.pointee.d_type) {
        case Int(DT_DIR): waiting.append(relative)
        case Int(DT_REG): found.append(relative)
        case Int(DT_LNK) where !isFolder("\(folder)/\(relative)"): found.append(relative)
        default: break
        }
      }
    }
    return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}
