// Apache-2.0.
public import Codecs
public import FederatedCore
import Synchronization

/// Versions and configurations that participants of one process share, by their digests.
///
/// A digest names a version on every machine, so a participant may take from here what another one
/// reached: thousands in one process hold each version once.
public final class VersionShelf: Sendable {
  private struct Contents {
    var sessions: [Digest: any AlgorithmSession] = [:]
    var configurations: [Digest: (RunConfiguration, any AlgorithmSession)] = [:]
  }

  private let contents = Mutex(Contents())

  /// An empty shelf.
  public init() {}

  /// The version of a digest, nil where nobody has put it here.
  public func session(_ digest: Digest) -> (any AlgorithmSession)? {
    contents.withLock { $0.sessions[digest] }
  }

  /// Puts a version there, under the digest that it was found to have.
  public func keep(_ session: any AlgorithmSession, as digest: Digest) {
    contents.withLock { $0.sessions[digest] = session }
  }

  /// Forgets a version; who holds it goes on holding it.
  public func drop(_ digest: Digest) {
    contents.withLock { $0.sessions[digest] = nil }
  }

  /// The configuration of a digest and the session it begins with, made by `body` the first time.
  func configuration(
    _ digest: Digest,
    _ body: () throws -> (RunConfiguration, any AlgorithmSession)
  ) throws -> (RunConfiguration, any AlgorithmSession) {
    if let known = contents.withLock({ $0.configurations[digest] }) { return known }
    let made = try body()
    contents.withLock { $0.configurations[digest] = made }
    return made
  }
}
