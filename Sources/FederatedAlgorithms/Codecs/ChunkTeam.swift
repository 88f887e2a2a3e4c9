// Apache-2.0.
import Codecs
import Glibc
import Synchronization
import Tensors

/// Threads that share the chunks of long vectors, for one caller at a time.
///
/// Chunks are apart from one another, so how they are shared out changes no bit.
enum ChunkTeam {
  /// More of them would wait for memory.
  private static let most = 8
  private static let team = ThreadTeam(
    threads: max(1, min(most, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
  )

  /// Calls `body` with each chunk.
  ///
  /// - Throws: what the first chunk threw of those that did.
  static func run(
    _ chunks: Int,
    _ body: (_ chunk: Int) throws(CodecError) -> Void
  ) throws(CodecError) {
    // A single one is the caller's: small models are checked on many threads at a time.
    guard chunks > 1 else {
      if chunks == 1 { try body(0) }
      return
    }
    let failure = Mutex<(chunk: Int, error: CodecError)?>(nil)
    team.run(tasks: chunks) { chunk, _ in
      do throws(CodecError) { try body(chunk) } catch {
        failure.withLock { failure in
          if chunk < failure?.chunk ?? .max { failure = (chunk, error) }
        }
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure.error }
  }

  /// Calls `body` with each chunk.
  static func run(_ chunks: Int, _ body: (_ chunk: Int) -> Void) {
    guard chunks > 1 else {
      if chunks == 1 { body(0) }
      return
    }
    team.run(tasks: chunks) { chunk, _ in body(chunk) }
  }
}
