// Apache-2.0.
import Glibc
import TestSupport
import Testing

/// Rules of the tree that the compiler does not check.
@Suite struct SourceTreeTests {
  static let root = SourceTree.root

  static let folders = ["Sources", "Server", "Client", "Simulations", "Tests"]

  @Test func `every source file has at most 400 lines`() throws {
    for file in try Self.sources() {
      let lines = try Self.read(file).split(separator: "\n", omittingEmptySubsequences: false)
      #expect(lines.count <= 401, "\(file) has \(lines.count - 1) lines")
    }
  }

  @Test func `every source file names its licence`() throws {
    for file in try Self.sources() {
      #expect(try Self.read(file).hasPrefix("// Apache-2.0."), "\(file)")
    }
  }

  @Test func `no source imports Foundation`() throws {
    for file in try Self.sources() where file.hasSuffix(".swift") {
      let found = try Self.read(file).split(separator: "\n").contains { line in
        line.contains("import Foundation")
          && !line.contains("\"")
          && !line.hasPrefix("//")
      }
      #expect(!found, "\(file)")
    }
  }

  @Test func `the tree was found`() throws {
    #expect(try Self.sources().count > 20)
  }

  /// Swift and C files below the source folders.
  static func sources() throws -> [String] {
    var found: [String] = []
    var waiting = folders.map { root + "/" + $0 }
    while let folder = waiting.popLast() {
      guard let handle = unsafe opendir(folder) else { throw ReadFailure(path: folder) }
      defer { unsafe closedir(handle) }
      while let entry = unsafe readdir(handle) {
        // SAFETY: d_name is NUL-terminated within the entry, which lives until the next readdir.
        let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
          unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
        }
        if name.hasPrefix(".") { continue }
        let path = folder + "/" + name
        if [".swift", ".c", ".h"].contains(where: { name.hasSuffix($0) }) {
          found.append(path)
        } else if unsafe entry.pointee.d_type == UInt8(DT_DIR), name != "Golden" {
          waiting.append(path)
        }
      }
    }
    return found.sorted()
  }

  struct ReadFailure: Error { let path: String }

  static func read(_ path: String) throws -> String {
    let descriptor = unsafe open(path, O_RDONLY)
    guard descriptor >= 0 else { throw ReadFailure(path: path) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
      if count <= 0 { break }
      bytes += chunk[0..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
