// Apache-2.0.
import Glibc
import ModelFiles
import Testing

/// A folder for `body`, and for one folder `merged` in it; both are gone afterwards.
func withTemporaryFolder(_ body: (String) throws -> Void) throws {
  var template = Array("/tmp/samara-training-XXXXXX".utf8CString)
  try #require(unsafe mkdtemp(&template) != nil)
  let path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  defer {
    for folder in ["\(path)/merged", path] {
      for name in (try? ModelFolder.fileNames(folder)) ?? [] { unsafe unlink("\(folder)/\(name)") }
      unsafe rmdir(folder)
    }
  }
  try body(path)
}
