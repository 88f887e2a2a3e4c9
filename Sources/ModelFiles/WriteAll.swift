// Apache-2.0.
import Glibc

/// Writes all bytes, however many calls that takes.
///
/// - Throws: `ModelFileError.system`, as when the disk is full.
func writeAll(_ bytes: RawSpan, to descriptor: Int32, path: String) throws(ModelFileError) {
  var written = 0
  while written < bytes.byteCount {
    // SAFETY: the rest of the span, read during the call.
    let count = unsafe bytes.withUnsafeBytes {
      unsafe write(
        descriptor,
        $0.baseAddress.map { unsafe $0 + written },
        $0.count - written
      )
    }
    if count < 0, errno == EINTR { continue }
    guard count > 0 else { throw .system(attempt: "write \(path)", code: errno) }
    written += count
  }
}
