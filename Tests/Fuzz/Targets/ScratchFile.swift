// Apache-2.0.
import Glibc

/// A nameless file with a path, for readers that open one.
struct ScratchFile: ~Copyable {
  private let descriptor: Int32

  init?(_ bytes: [UInt8]) {
    var template = Array("/tmp/samara-rows-XXXXXX".utf8CString)
    descriptor = unsafe mkstemp(&template)
    guard descriptor >= 0 else { return nil }
    unsafe unlink(template)
    guard unsafe write(descriptor, bytes, bytes.count) == bytes.count else { return nil }
  }

  var path: String { "/proc/self/fd/\(descriptor)" }

  deinit { close(descriptor) }
}
