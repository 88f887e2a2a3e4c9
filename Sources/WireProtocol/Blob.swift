// Apache-2.0.
public import Codecs
import Synchronization

/// Bytes under their own name: one copy for all who send them, hashed once.
///
/// Snapshots and advances are great and the same for many clients; messages refer to them.
public final class Blob: Sendable, Equatable, ExpressibleByArrayLiteral {
  /// The bytes.
  public let bytes: [UInt8]
  private let name = Mutex<Digest?>(nil)

  /// Shorter ones travel within their messages: asking for them would cost more.
  public static let least = 64 << 10

  /// A blob of `bytes`.
  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// A blob of the bytes listed.
  public convenience init(arrayLiteral elements: UInt8...) { self.init(elements) }

  /// SHA-256 of the bytes; computed when it is first asked for.
  public var digest: Digest {
    name.withLock { name in
      if let name { return name }
      let made = Digest.sha256(of: bytes)
      name = made
      return made
    }
  }

  /// Whether the bytes are equal.
  public static func == (one: Blob, other: Blob) -> Bool {
    one === other || one.bytes == other.bytes
  }
}

/// A part of a message's body: the body is its pieces, one behind the other.
public enum MessagePiece: Sendable, Equatable {
  /// Bytes of this message alone.
  case bytes([UInt8])
  /// Bytes that other messages may share.
  case blob(Blob)

  /// The bytes.
  public var bytes: [UInt8] {
    switch self {
    case .bytes(let bytes): bytes
    case .blob(let blob): blob.bytes
    }
  }

  /// How many bytes.
  public var count: Int { bytes.count }
}

/// Gathers pieces while fields are written.
struct PieceWriter {
  private(set) var pieces: [MessagePiece] = []
  var fields = ByteWriter()

  /// Bytes behind their varint length, in a piece of their own where they are many.
  mutating func write(block: Blob) {
    fields.write(count: block.bytes.count)
    if block.bytes.count < Blob.least {
      fields.write(bytes: block.bytes)
    } else {
      pieces.append(.bytes(fields.bytes))
      pieces.append(.blob(block))
      fields = ByteWriter()
    }
  }

  /// All pieces; nothing may be written afterwards.
  consuming func finish() -> [MessagePiece] {
    fields.bytes.isEmpty ? pieces : pieces + [.bytes(fields.bytes)]
  }
}
