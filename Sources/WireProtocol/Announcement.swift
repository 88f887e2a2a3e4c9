// Apache-2.0.
public import Codecs

/// What a message in chunks will be, so that its receiver can ask for what it lacks.
///
///     number varint | kind u8 | pieces varint, each
///         0 | bytes: varint length, bytes
///         1 | SHA-256 32 | length varint
///
/// The body of the message is its pieces, one behind the other.
public struct Announcement: WireCodable, Equatable {
  /// A part of the body.
  public enum Piece: Sendable, Equatable {
    /// The bytes themselves.
    case bytes([UInt8])
    /// Bytes to ask for.
    case blob(Digest, length: Int)

    /// Bytes of the body.
    public var length: Int {
      switch self {
      case .bytes(let bytes): bytes.count
      case .blob(_, let length): length
      }
    }
  }

  /// Names the message on its connection.
  public let number: UInt32
  /// Kind of the message.
  public let kind: UInt8
  /// The parts of its body.
  public let pieces: [Piece]

  /// Pieces at most.
  public static let mostPieces = 64
  /// Longer pieces are asked for.
  public static let longestBytes = 1024
  /// Bytes of an announcement at most.
  public static let limit = 16 + mostPieces * (longestBytes + 3)
  /// Bytes of a blob at most.
  public static let longestBlob = 1 << 40

  /// An announcement of `pieces` of a message of `kind`.
  public init(number: UInt32, kind: UInt8, pieces: [Piece]) {
    self.number = number
    self.kind = kind
    self.pieces = pieces
  }

  /// Bytes of the body.
  public var length: Int { pieces.reduce(0) { $0 + $1.length } }

  /// Reads an announcement.
  public init(from reader: inout ByteReader) throws(CodecError) {
    number = try reader.readNumber("number")
    kind = try reader.read(UInt8.self)
    let count = try reader.readCount(limit: Self.mostPieces, field: "pieces")
    var pieces: [Piece] = []
    for _ in 0..<count {
      switch try reader.read(UInt8.self) {
      case 0: pieces.append(.bytes(try reader.readBlock(limit: Self.longestBytes, "piece")))
      case 1:
        let digest = try Digest(from: &reader)
        let length = try reader.readCount(limit: Self.longestBlob, field: "length")
        pieces.append(.blob(digest, length: length))
      case let code: throw .outOfRange(field: "piece", value: "\(code)", allowed: "0...1")
      }
    }
    self.pieces = pieces
  }

  /// Appends the announcement.
  public func encode(into writer: inout ByteWriter) {
    writer.write(number: number)
    writer.write(kind)
    writer.write(count: pieces.count)
    for piece in pieces {
      switch piece {
      case .bytes(let bytes):
        writer.write(UInt8(0))
        writer.write(block: bytes)
      case .blob(let digest, let length):
        writer.write(UInt8(1))
        digest.encode(into: &writer)
        writer.write(count: length)
      }
    }
  }
}

/// Where a chunk lies: number varint | piece varint | offset varint | bytes of it varint.
///
/// The request of a chunk; a chunk itself is the same without the last field, and its bytes.
public struct ChunkPlace: WireCodable, Equatable {
  /// Number of the announcement.
  public let number: UInt32
  /// Which of its pieces.
  public let piece: Int
  /// The first byte, of the piece.
  public let offset: Int
  /// Bytes.
  public let count: Int

  /// Bytes of a chunk at most.
  public static let longest = 128 << 10
  /// Bytes before those of the chunk, at most.
  public static let headBytes = 16

  /// A place.
  public init(number: UInt32, piece: Int, offset: Int, count: Int) {
    self.number = number
    self.piece = piece
    self.offset = offset
    self.count = count
  }

  /// Reads a request.
  public init(from reader: inout ByteReader) throws(CodecError) {
    number = try reader.readNumber("number")
    piece = try reader.readCount(limit: Announcement.mostPieces - 1, field: "piece")
    offset = try reader.readCount(limit: Announcement.longestBlob, field: "offset")
    count = try reader.readCount(limit: Self.longest, field: "count")
    guard count > 0 else {
      throw .outOfRange(field: "count", value: "0", allowed: "1...\(Self.longest)")
    }
  }

  /// Appends the request.
  public func encode(into writer: inout ByteWriter) {
    writer.write(bytes: head)
    writer.write(count: count)
  }

  /// What stands before the bytes of the chunk.
  public var head: [UInt8] {
    var writer = ByteWriter()
    writer.write(number: number)
    writer.write(count: piece)
    writer.write(count: offset)
    return writer.bytes
  }

  /// Whether `body` is the chunk of this place; its bytes then follow `head`.
  public func matches(_ body: [UInt8]) -> Bool {
    let head = head
    return body.count == head.count + count && body.starts(with: head)
  }
}
