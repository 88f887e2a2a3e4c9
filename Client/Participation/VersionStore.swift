// Apache-2.0.
import Codecs
import Glibc
import ModelFiles
public import Telemetry
import WireProtocol

/// The file in which a client keeps the version it has reached, whole or absent.
///
///     KeptVersion | SHA-256 of it 32
public struct VersionStore: Sendable {
  private let path: String
  private let log: Log

  /// The store at `path`; what cannot be read or written is told to `log` and costs bytes, no more.
  public init(path: String, log: Log) {
    self.path = path
    self.log = log
  }

  /// What the last life left.
  public func load() -> KeptVersion? {
    guard ModelFolder.exists(path) else { return nil }
    do {
      let bytes = try ModelFolder.bytes(path, limit: VersionSync.maximumSnapshot + (2 << 20))
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

  /// Keeps a version in place of the one before.
  public func save(_ version: KeptVersion) {
    do throws(ModelFileError) {
      var file = try AtomicFile(path: path)
      let bytes = version.encoded
      try file.write(bytes + Digest.sha256(of: bytes).bytes)
      try file.commit()
    } catch {
      log.warning("the version reached is not kept: \(error)")
    }
  }

  /// Forgets it.
  public func clear() { _ = unsafe unlink(path) }
}
