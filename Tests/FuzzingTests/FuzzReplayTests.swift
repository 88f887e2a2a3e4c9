// Apache-2.0.
import Fuzzing
import Glibc
import TestSupport
import Testing

/// What the fuzzer found worth keeping, run again as ordinary tests.
@Suite struct FuzzReplayTests {
  static let folder = "\(SourceTree.root)/Tests/Fuzz/corpus"

  @Test(arguments: fuzzTargets.map(\.name)) func `the corpus of a target replays`(
    _ name: String
  ) throws {
    let target = try #require(fuzzTargets.first { $0.name == name })
    let files = Self.names(Self.folder + "/" + name)
    try #require(files.count > 2)
    for file in files {
      let bytes = try #require(Self.read("\(Self.folder)/\(name)/\(file)"))
      target.body(bytes)
      // What was cut off or has a byte wrong is worth a try as well.
      target.body(Array(bytes.prefix(bytes.count / 2)))
      var flipped = bytes
      if let last = flipped.indices.last { flipped[last / 2] ^= 0x55 }
      target.body(flipped)
    }
  }

  static func names(_ folder: String) -> [String] {
    guard let handle = unsafe opendir(folder) else { return [] }
    defer { unsafe closedir(handle) }
    var found: [String] = []
    while let entry = unsafe readdir(handle) {
      // SAFETY: d_name is NUL-terminated within the entry, which lives until the next readdir.
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
        unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if !name.hasPrefix(".") { found.append(name) }
    }
    return found.sorted()
  }

  static func read(_ path: String) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0 { return nil }
      if count == 0 { return bytes }
      bytes += chunk[0..<count]
    }
  }
}
