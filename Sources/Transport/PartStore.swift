// Apache-2.0.
import Codecs
import Glibc
import Synchronization
public import Telemetry
import WireProtocol

/// Where great blocks gather while they arrive, in files of one folder.
///
///     DIGEST.OWNER.part    what has come of a block that OWNER sends, from its first byte on
///     DIGEST.whole         a second name of one that is complete and is what its name says
///
/// A part outlives connections and processes, so a sender that comes back is asked for the rest.
/// Whoever wants to keep a block gives its second name another. All work is done on one thread.
public final class PartStore: Sendable {
  /// How much may lie in the folder, and how long.
  public struct Limits: Sendable {
    /// Blocks of one owner; a further one replaces the one touched longest ago.
    public var mostOfOwner: Int
    /// Bytes of all parts at most.
    public var bytes: Int
    /// A file that nothing was added to for so long is removed.
    public var lease: Duration

    /// Limits that suit a server.
    public init(mostOfOwner: Int = 2, bytes: Int = 64 << 30, lease: Duration = .seconds(3600)) {
      self.mostOfOwner = mostOfOwner
      self.bytes = bytes
      self.lease = lease
    }
  }

  /// A file of the folder.
  struct Entry {
    let name: String
    let bytes: Int
    let touched: Duration
  }

  let folder: String
  let limits: Limits
  private let namesWhole: Bool
  private let loop: EventLoop
  private let wall: TimeSource
  private let open = OpenParts()

  // SAFETY: touched on the store's thread alone.
  private final class OpenParts: @unchecked Sendable {
    var byPath: [String: OpenPart] = [:]
  }

  /// A store in `folder`, which is made where it is missing.
  ///
  /// - Parameters:
  ///   - namesWhole: whether complete blocks get their second name; a client needs none.
  ///   - loop: the thread that works; it may serve other stores.
  public init(
    folder: String,
    limits: Limits = Limits(),
    namesWhole: Bool,
    loop: EventLoop,
    wall: TimeSource = .wall
  ) throws(TransportError) {
    try DurableFile.makeFolder(folder)
    self.folder = folder
    self.limits = limits
    self.namesWhole = namesWhole
    self.loop = loop
    self.wall = wall
  }

  /// A name for an owner that is fit for a file's.
  static func owner(_ identity: PeerIdentity) -> String {
    if case .client(let name, _) = identity {
      return String(Digest.sha256(of: Array(name.utf8)).description.prefix(16))
    }
    return "server"
  }

  /// Opens the part of a block, a new one or what has come of it before.
  func begin(
    _ owner: String,
    _ digest: Digest,
    length: Int,
    then: @escaping @Sendable (Result<OpenPart, TransportError>) -> Void
  ) {
    loop.submit { [self] in
      then(
        Result { () throws(TransportError) in
          let path = "\(folder)/\(digest).\(owner).part"
          // Whoever held it is a connection that this one has replaced.
          open.byPath.removeValue(forKey: path)?.close()
          try makeRoom(length, of: owner, for: path)
          let part = try OpenPart(path, digest, length: length)
          open.byPath[path] = part
          return part
        }
      )
    }
  }

  /// Adds the next bytes.
  func append(
    _ bytes: ArraySlice<UInt8>,
    to part: OpenPart,
    then: @escaping @Sendable (Result<Void, TransportError>) -> Void
  ) {
    loop.submit { then(Result { () throws(TransportError) in try part.append(bytes) }) }
  }

  /// Lets go of a part whose connection is gone; what has come of it stays.
  func release(_ part: OpenPart) {
    loop.submit { [self] in forget(part) }
  }

  /// Checks that a part is complete and what its name says; removed where it is not.
  func finish(_ part: OpenPart, then: @escaping @Sendable (Result<Void, TransportError>) -> Void) {
    loop.submit { [self] in
      then(
        Result { () throws(TransportError) in
          defer { forget(part) }
          try part.check()
          guard namesWhole else { return }
          let whole = "\(folder)/\(part.digest).whole"
          guard unsafe link(part.path, whole) == 0 || errno == EEXIST else {
            throw .lastCall("link", whole)
          }
        }
      )
    }
  }

  /// The body of an announced message whose blocks of `owner` are all complete.
  func assemble(
    _ pieces: [AnnouncedPiece],
    of owner: String,
    then: @escaping @Sendable (Result<[UInt8], TransportError>) -> Void
  ) {
    loop.submit { [self] in
      then(
        Result { () throws(TransportError) in
          var body: [UInt8] = []
          body.reserveCapacity(pieces.reduce(0) { $0 + $1.length })
          var read: Set<String> = []
          for piece in pieces {
            switch piece {
            case .bytes(let bytes): body += bytes
            case .blob(let digest, let length):
              let path = "\(folder)/\(digest).\(owner).part"
              try PartFile.append(path, length: length, to: &body)
              read.insert(path)
            }
          }
          // A server keeps them for a client that did not hear of its success.
          if !namesWhole { for path in read { _ = unsafe unlink(path) } }
          return body
        }
      )
    }
  }

  private func forget(_ part: OpenPart) {
    part.close()
    if open.byPath[part.path] === part { open.byPath[part.path] = nil }
  }

  /// Removes what is stale, and of the owner what a further part replaces.
  private func makeRoom(
    _ length: Int,
    of owner: String,
    for path: String
  ) throws(TransportError) {
    let now = wall.now
    var bytes = length
    var own: [Entry] = []
    for entry in PartFile.entries(of: folder) {
      let file = "\(folder)/\(entry.name)"
      if file == path { continue }
      if now - entry.touched > limits.lease, open.byPath[file] == nil {
        _ = unsafe unlink(file)
      } else if entry.name.hasSuffix(".part") {
        bytes += entry.bytes
        if entry.name.hasSuffix(".\(owner).part") { own.append(entry) }
      }
    }
    own.sort { ($0.touched, $0.name) < ($1.touched, $1.name) }
    for entry in own.prefix(max(0, own.count + 1 - limits.mostOfOwner)) {
      let file = "\(folder)/\(entry.name)"
      open.byPath.removeValue(forKey: file)?.close()
      _ = unsafe unlink(file)
      bytes -= entry.bytes
    }
    guard bytes <= limits.bytes else {
      throw .file(path: folder, reason: "no room for \(length) more bytes")
    }
  }
}
