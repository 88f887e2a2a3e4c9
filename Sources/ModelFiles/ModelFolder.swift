// Apache-2.0.
public import Codecs
import Glibc

/// Small files of a model's folder.
public enum ModelFolder {
  /// Whether something stands at a path.
  public static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

  /// The bytes of a file of at most `limit` bytes.
  ///
  /// - Throws: `ModelFileError` where it cannot be read or is longer.
  public static func bytes(_ path: String, limit: Int) throws(ModelFileError) -> [UInt8] {
    let file = try MappedFile(path: path)
    guard file.byteCount <= limit else {
      throw .malformed(file: path, reason: "\(file.byteCount) bytes, where \(limit) are allowed")
    }
    // SAFETY: the whole of the mapping, copied before it goes.
    return unsafe Array(file.bytes(0..<file.byteCount))
  }

  /// A JSON document of a file, as `config.json`.
  ///
  /// - Throws: `ModelFileError.malformed` with line and column.
  public static func json(
    _ path: String,
    limit: Int = 1 << 20,
    uniqueKeys: Bool = false
  ) throws(ModelFileError) -> JSONValue {
    let bytes = try bytes(path, limit: limit)
    do throws(JSONError) {
      return try JSONValue.parse(bytes, uniqueKeys: uniqueKeys)
    } catch { throw .malformed(file: path, reason: "\(error)") }
  }

  /// Names of the plain files of a folder, bytewise sorted.
  ///
  /// - Throws: `ModelFileError.system` where it cannot be read.
  public static func fileNames(_ directory: String) throws(ModelFileError) -> [String] {
    guard let stream = unsafe opendir(directory) else {
      throw .system(attempt: "read the folder \(directory)", code: errno)
    }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      guard unsafe entry.pointee.d_type == UInt8(DT_REG) else { continue }
      // SAFETY: readdir ends d_name with a zero and leaves it alone until the next call.
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        unsafe tuple.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      names.append(name)
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Makes a folder where there is none.
  ///
  /// - Throws: `ModelFileError.system`.
  public static func make(_ directory: String) throws(ModelFileError) {
    guard unsafe mkdir(directory, 0o755) == 0 || errno == EEXIST else {
      throw .system(attempt: "make \(directory)", code: errno)
    }
  }

  /// Writes a file whole or not at all.
  public static func write(_ bytes: [UInt8], to path: String) throws(ModelFileError) {
    var file = try AtomicFile(path: path)
    try file.write(bytes)
    try file.commit()
  }
}
