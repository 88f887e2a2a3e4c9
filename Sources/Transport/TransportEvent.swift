// Apache-2.0.

/// Names a connection for as long as the process lives; never used twice.
public struct PeerID: Hashable, Sendable, CustomStringConvertible {
  /// Number of the connection and, in its lowest byte, of the loop that serves it.
  let raw: UInt64

  init(number: UInt64, loop: Int) { raw = number << 8 | UInt64(loop) }

  var loop: Int { Int(raw & 0xFF) }

  /// The connection's number.
  public var description: String { "#\(raw >> 8)" }
}

/// Who is at the other end.
public enum PeerIdentity: Hashable, Sendable {
  /// A client with a certificate of our authority.
  case client(name: String, serial: String)
  /// A program of the server's own user, on the administration socket.
  case administrator
  /// The server, as its clients see it.
  case server
  /// Somebody without a certificate, who may only enrol.
  case stranger
}

/// Bytes on the wire since the connection began, TLS records and handshake included.
public struct Traffic: Sendable, Equatable {
  /// Bytes that came in.
  public var received: UInt64 = 0
  /// Bytes that went out.
  public var sent: UInt64 = 0

  /// Nothing yet.
  public init(received: UInt64 = 0, sent: UInt64 = 0) {
    self.received = received
    self.sent = sent
  }
}

/// What happens on a connection; told on the thread of its event loop, in order.
///
/// The receiver must not block that thread: it hands the event on.
public enum TransportEvent: Sendable {
  /// A peer is connected and recognised.
  case connected(PeerID, PeerIdentity, address: String)
  /// A message of a kind of 16 and more.
  case received(PeerID, kind: UInt8, body: [UInt8], traffic: Traffic)
  /// A message is announced that comes in chunks; `head` is the beginning of its body, may be empty.
  case announced(PeerID, kind: UInt8, head: [UInt8])
  /// More waits to be sent to a peer than is good, or no longer so.
  case backpressure(PeerID, isCongested: Bool, queuedBytes: Int)
  /// A connection that was told as connected is gone.
  case closed(PeerID, CloseReason, traffic: Traffic)
}

/// Why a connection ended.
public enum CloseReason: Sendable, Equatable, CustomStringConvertible {
  /// The other end closed without a word.
  case byPeer
  /// The other end said goodbye.
  case goodbye(Goodbye)
  /// This program asked for it.
  case local
  /// Nothing was heard for too long.
  case silent
  /// A handshake, an enrolment or a farewell took too long.
  case deadline(String)
  /// What arrived is not what the protocol allows.
  case protocolViolation(String)
  /// The peer takes too little of what is sent.
  case congested(queuedBytes: Int)
  /// The system or TLS failed, in its words.
  case failed(String)

  /// For people.
  public var description: String {
    switch self {
    case .byPeer: "closed by the other end"
    case .goodbye(let goodbye): "goodbye: \(goodbye.text)"
    case .local: "closed here"
    case .silent: "nothing heard for too long"
    case .deadline(let what): "\(what) took too long"
    case .protocolViolation(let what): "protocol violation: \(what)"
    case .congested(let bytes): "\(bytes) bytes wait and the other end does not take them"
    case .failed(let words): words
    }
  }
}
