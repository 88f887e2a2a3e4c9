// Apache-2.0.
import Glibc

/// A folder with files, gone with all that is in it when its owner goes.
public final class TemporaryFolder: Sendable {
  /// Where it stands, without a slash at the end.
  public let path: String

  /// Makes an empty one, which nobody else may read.
  public init() {
    var template = Array("/tmp/samara-test-XXXXXX".utf8CString)
    // SAFETY: mkdtemp replaces the six letters in place.
    guard unsafe mkdtemp(&template) != nil else { fatalError("no temporary folder: \(errno)") }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Names of what stands in it, sorted.
  public var names: [String] { Self.names(path)?.sorted() ?? [] }

  /// Writes a file and returns its path.
  public func write(_ name: String, _ text: String) -> String {
    write(name, bytes: Array(text.utf8))
  }

  /// Writes a file, in a folder of its own where the name says so, and returns its path.
  public func write(_ name: String, bytes: [UInt8]) -> String {
    if let slash = name.lastIndex(of: "/") { _ = unsafe mkdir("\(path)/\(name[..<slash])", 0o700) }
    let file = "\(path)/\(name)"
    guard let handle = unsafe fopen(file, "w") else { fatalError("cannot write \(file)") }
    _ = unsafe fwrite(bytes, 1, bytes.count, handle)
    unsafe fclose(handle)
    return file
  }

  /// Takes a file or a folder away, where it is there.
  public func remove(_ name: String) { Self.remove("\(path)/\(name)") }

  deinit { Self.remove(path) }

  private static func names(_ path: String) -> [String]? {
    guard let folder = unsafe opendir(path) else { return nil }
    defer { unsafe closedir(folder) }
    var found: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { found.append(name) }
    }
    return found
  }

  private static func remove(_ path: String) {
    guard let names = names(path) else {
      _ = unsafe unlink(path)
      return
    }
    for name in names { remove("\(path)/\(name)") }
    _ = unsafe rmdir(path)
  }
}

/// A folder for `body`, which is gone afterwards.
public func withTemporaryFolder(_ body: (String) throws -> Void) rethrows {
  let folder = TemporaryFolder()
  try withExtendedLifetime(folder) { try body(folder.path) }
}
