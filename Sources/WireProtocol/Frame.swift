// Apache-2.0.

/// One message on a connection.
///
///     byte 0        kind
///     byte 1        flags: bit 0 = body compressed by zstd; all others zero
///     bytes 2 … 5   length of the body, u32 little-endian
///     bytes 6 …     body
public struct Frame: Sendable, Equatable {
  /// What the body is.
  public let kind: UInt8
  /// Whether the body is compressed.
  public let isCompressed: Bool
  /// The bytes behind the header.
  public let body: [UInt8]

  /// Bytes of the header.
  public static let headerBytes = 6

  /// A frame.
  public init(kind: UInt8, isCompressed: Bool = false, body: [UInt8]) {
    self.kind = kind
    self.isCompressed = isCompressed
    self.body = body
  }

  /// The six bytes before the body.
  public var header: [UInt8] {
    Self.header(kind: kind, isCompressed: isCompressed, length: body.count)
  }

  /// The six bytes before a body of `length` bytes.
  public static func header(kind: UInt8, isCompressed: Bool, length: Int) -> [UInt8] {
    [kind, isCompressed ? 1 : 0]
      + (0..<4).map { UInt8(truncatingIfNeeded: UInt32(length) >> (8 * $0)) }
  }

  /// Header and body.
  public var encoded: [UInt8] { header + body }
}

/// Why bytes from a peer are no frames.
public enum FrameError: Error, Equatable, Sendable {
  /// The kind is none that this peer may send now.
  case unknownKind(UInt8)
  /// A flag that has no meaning.
  case unknownFlags(UInt8)
  /// A body announced beyond the limit of its kind.
  case tooLong(kind: UInt8, length: Int, limit: Int)
}

/// Makes frames of bytes as they arrive, in pieces of any size.
///
/// The header is judged as soon as its six bytes are here: a body beyond its kind's limit is refused
/// before any of it is waited for or kept.
public struct FrameDecoder: Sendable {
  /// The largest body of a kind in bytes, nil where the kind is not allowed; changes as a peer is
  /// recognised.
  public var limit: @Sendable (UInt8) -> Int?
  private var waiting: [UInt8] = []

  /// A decoder.
  ///
  /// - Parameter limit: the largest body of a kind in bytes, nil where the kind is not allowed.
  public init(limit: @escaping @Sendable (UInt8) -> Int?) { self.limit = limit }

  /// Bytes kept for a frame that is not whole yet; at most a header and the largest body allowed.
  public var pendingBytes: Int { waiting.count }

  /// Takes in bytes and returns the frames that are whole with them.
  ///
  /// - Throws: `FrameError`; the connection must be closed, since no frame boundary is known any more.
  public mutating func feed(_ bytes: ArraySlice<UInt8>) throws(FrameError) -> [Frame] {
    waiting.append(contentsOf: bytes)
    var frames: [Frame] = []
    var start = 0
    while waiting.count - start >= Frame.headerBytes {
      let length = try bodyLength(at: start)
      let body = start + Frame.headerBytes
      guard waiting.count - body >= length else { break }
      frames.append(
        Frame(
          kind: waiting[start],
          isCompressed: waiting[start + 1] == 1,
          body: Array(waiting[body..<body + length])
        )
      )
      start = body + length
    }
    // An idle connection keeps no memory of its largest message.
    if start == waiting.count { waiting = [] } else { waiting.removeFirst(start) }
    return frames
  }

  private func bodyLength(at start: Int) throws(FrameError) -> Int {
    let kind = waiting[start]
    guard let limit = limit(kind) else { throw .unknownKind(kind) }
    guard waiting[start + 1] <= 1 else { throw .unknownFlags(waiting[start + 1]) }
    var length = 0
    for index in 0..<4 { length |= Int(waiting[start + 2 + index]) << (8 * index) }
    guard length <= limit else { throw .tooLong(kind: kind, length: length, limit: limit) }
    return length
  }
}
