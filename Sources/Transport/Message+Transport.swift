// Apache-2.0.
public import WireProtocol

/// Messages of a run: one frame where they are short, chunks where they are long.
///
/// Whoever says them goes on at once: bytes are made and compressed on the connection's thread.
extension TransportServer {
  /// Sends a message to a client; dropped where the client is gone.
  public func send(_ message: Message, to peer: PeerID) {
    onLoop(of: peer) { loop in
      guard let connection = loop.connection(peer) else { return }
      if !message.travelsInChunks, message.kind.endsTasks {
        connection.withdraw(Message.Kind.task.rawValue)
      }
      connection.send(message)
    }
  }
}

extension TransportClient {
  /// Sends a message to the server; dropped where there is no connection.
  public func send(_ message: Message) { onLoop { $0.current?.send(message) } }

  /// Takes back the messages of a kind that are not through yet.
  public func withdraw(_ kind: Message.Kind) { withdraw(kind: kind.rawValue) }
}

extension Connection {
  fileprivate func send(_ message: Message) {
    if message.travelsInChunks {
      send(message.kind.rawValue, message.pieces)
    } else {
      send(Frame.packed(kind: message.kind.rawValue, body: message.body))
    }
  }
}

extension Message {
  /// Whether the body is too long for a frame.
  fileprivate var travelsInChunks: Bool {
    guard kind.frameLimit < kind.limit else { return false }
    return pieces.reduce(0) { $0 + $1.count } > kind.frameLimit
  }
}
