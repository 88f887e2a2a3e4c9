// Apache-2.0.

/// Messages too long for one frame: they travel in chunks, as `Announcement` says.
extension Message {
  /// A body of more bytes travels in chunks.
  public static let longestFrame = 256 << 10

  /// The body in pieces, great blocks by reference; together they are `body`.
  public var pieces: [MessagePiece] {
    switch self {
    case .result(let result): result.pieces
    case .task(let order): order.pieces
    default: [.bytes(body)]
    }
  }

  /// The longest body in bytes that `sender` may send in chunks under `kind`, nil where it may not.
  public static func transferLimit(_ kind: UInt8, from sender: Sender) -> Int? {
    guard let kind = Kind(rawValue: kind), kind.senders.contains(sender) else { return nil }
    switch kind {
    case .result, .task: return kind.limit
    default: return nil
    }
  }
}

extension Message.Kind {
  /// Whether a task that travels in chunks and is not there yet is of no use once this one is sent.
  ///
  /// A further task or result in chunks replaces the one before it anyway.
  public var endsTasks: Bool { self == .task || self == .runEnd }
}
