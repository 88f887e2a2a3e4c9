// Apache-2.0.
public import Telemetry

/// How a server listens.
public struct ServerConfiguration: Sendable {
  /// Where to listen for clients.
  public var addresses: [SocketAddress]
  /// Path of the administration socket; nil for none.
  public var adminSocket: String?
  /// Threads that serve connections.
  public var loops: Int
  /// Times and sizes of each connection.
  public var limits: ConnectionLimits
  /// Connections at most; later ones are closed at once.
  public var mostConnections: Int
  /// Connections that are not recognised yet, at most.
  public var mostStrangers: Int
  /// The greatest body in bytes of a kind from 16 on that a peer may send; nil: it may not.
  public var limit: @Sendable (UInt8, PeerIdentity) -> Int?
  /// What may come in chunks; nil: nothing.
  public var transfers: TransferSettings?
  /// The clock of deadlines.
  public var time: TimeSource
  /// Told of a peer that was not let in: its address and why; at most once a second.
  ///
  /// Called on loop threads; must not block.
  public var onRefusal: (@Sendable (_ address: String, _ reason: String) -> Void)?
  /// Told of the server's new certificate, or why there is none yet; on a loop thread.
  public var onRenewal: (@Sendable (Result<Certificate, TransportError>) -> Void)?

  /// A configuration; `limit` is the only thing without a default.
  public init(
    addresses: [SocketAddress],
    adminSocket: String? = nil,
    loops: Int = 2,
    limits: ConnectionLimits = ConnectionLimits(),
    mostConnections: Int = 100_000,
    mostStrangers: Int = 1024,
    time: TimeSource = .monotonic,
    limit: @escaping @Sendable (UInt8, PeerIdentity) -> Int?
  ) {
    self.addresses = addresses
    self.adminSocket = adminSocket
    self.loops = loops
    self.limits = limits
    self.mostConnections = mostConnections
    self.mostStrangers = mostStrangers
    self.time = time
    self.limit = limit
  }
}
