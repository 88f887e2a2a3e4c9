// Apache-2.0.
import Codecs
import Glibc
import ModelFiles
import Synchronization
public import Telemetry
import WireProtocol

/// The file in which a client keeps the version it has reached, whole or absent.
///
///     KeptVersion | SHA-256 of it 32
///
/// The disks of edge boxes wear: a great state is not written every time.
public final class VersionStore: Sendable {
  private let path: String
  private let log: Log
  /// Saves to leave out.
  private let rest = Mutex(0)

  /// Bytes that a save may cost on average.
  public static let allowance = 1 << 18

  /// The store at `path`; what cannot be read or written is told to `log` and costs bytes, no more.
  public init(path: String, log: Log) {
    self.path = path
    self.log = log
  }

  /// What the last life left.
  public func load() -> KeptVersion? {
    guard ModelFolder.exists(path) else { return nil }
    do {
      let most = VersionSync.maximumBytes + KeptVersion.maximumMemory + TaskResult.maximumPayload
      let bytes = try ModelFolder.bytes(path, limit: most + (2 << 20))
      let version = Array(bytes.dropLast(32))
      guard Digest.sha256(of: version).bytes.elementsEqual(bytes.suffix(32)) else {
        throw ParticipationFailure("damaged")
      }
      return try KeptVersion(decoding: version)
    } catch {
      log.warning("\(path) is dropped: \(error)")
      return nil
    }
  }

  /// Keeps a version in place of the one before, unless a great one was written a short while ago.
  ///
  /// What stands there instead is an older version, from which the server leads on.
  ///
  /// - Parameter version: made only where it is written: a snapshot of a great state costs time.
  public func save(_ version: @autoclosure () -> KeptVersion) {
    let isDue = rest.withLock { rest in
      rest -= 1
      return rest < 0
    }
    guard isDue else { return }
    do throws(ModelFileError) {
      let bytes = version().encoded
      rest.withLock { $0 = bytes.count / Self.allowance }
      var file = try AtomicFile(path: path)
      try file.write(bytes + Digest.sha256(of: bytes).bytes)
      try file.commit()
    } catch {
      log.warning("the version reached is not kept: \(error)")
    }
  }

  /// Forgets it.
  public func clear() {
    rest.withLock { $0 = 0 }
    _ = unsafe unlink(path)
  }
}
