// Apache-2.0.
public import WireProtocol

/// Messages of a run: one frame where they are short, chunks where they are long.
extension TransportServer {
  /// Sends a message to a client; dropped where the client is gone.
  public func send(_ message: Message, to peer: PeerID) {
    let pieces = message.pieces
    if message.kind.travels(pieces) {
      send(to: peer, kind: message.kind.rawValue, pieces: pieces)
    } else {
      if message.kind.endsTasks { withdraw(kind: Message.Kind.task.rawValue, from: peer) }
      send(to: peer, kind: message.kind.rawValue, body: pieces.flatMap(\.bytes))
    }
  }
}

extension TransportClient {
  /// Sends a message to the server; dropped where there is no connection.
  public func send(_ message: Message) {
    let pieces = message.pieces
    if message.kind.travels(pieces) {
      send(kind: message.kind.rawValue, pieces: pieces)
    } else {
      send(kind: message.kind.rawValue, body: pieces.flatMap(\.bytes))
    }
  }

  /// Takes back the messages of a kind that are not through yet.
  public func withdraw(_ kind: Message.Kind) { withdraw(kind: kind.rawValue) }
}

extension Message.Kind {
  /// Whether a body of these pieces is too long for a frame.
  fileprivate func travels(_ pieces: [MessagePiece]) -> Bool {
    guard frameLimit < limit else { return false }
    return pieces.reduce(0) { $0 + $1.count } > frameLimit
  }
}
