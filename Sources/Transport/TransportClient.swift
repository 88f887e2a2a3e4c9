// Apache-2.0.
import Synchronization
public import Telemetry
public import WireProtocol

/// Where a client connects to.
public enum ClientTarget: Sendable, Equatable {
  /// The server over TLS; addresses are tried in order.
  case server([SocketAddress])
  /// The administration socket of a server on this machine, without TLS.
  case adminSocket(String)
}

/// One connection at a time to a server.
///
/// Its event loop has a thread of its own, on which events are told. All methods may be called from any
/// thread. A connection that fails or ends is told as `closed`; when to `connect` again is for the
/// caller to say, with `ReconnectPolicy` and `schedule`.
public final class TransportClient: Sendable {
  private let client: ClientLoop

  /// A client that is not connected yet.
  ///
  /// - Parameters:
  ///   - identity: what to show; nil only for the administration socket.
  ///   - limit: the greatest body in bytes of a kind from 16 on that the server may send.
  ///   - onRenewed: a new certificate has come; keep it with `ClientIdentity.save`.
  ///   - onEvent: told on the loop's thread; must not block.
  public init(
    _ target: ClientTarget,
    identity: ClientIdentity?,
    limits: ConnectionLimits = ConnectionLimits(),
    time: TimeSource = .monotonic,
    wall: TimeSource = .wall,
    limit: @escaping @Sendable (UInt8) -> Int?,
    onRenewed: @escaping @Sendable (ClientIdentity) -> Void = { _ in },
    onEvent: @escaping @Sendable (TransportEvent) -> Void
  ) throws(TransportError) {
    if case .server = target, identity == nil {
      throw .certificate("no identity; run `fedclient join` first")
    }
    client = try ClientLoop(
      ClientLoop.Settings(
        target: target,
        limits: limits,
        wall: wall,
        limit: limit,
        onRenewed: onRenewed,
        onEvent: onEvent
      ),
      identity: identity,
      loop: try EventLoop(time: time)
    )
  }

  /// Tries to connect, unless there is a connection; `connected` or `closed` will be told.
  public func connect() { client.loop.submit { [client] in client.connect() } }

  /// Sends a message; dropped where there is no connection.
  public func send(kind: UInt8, body: [UInt8]) { send(Frame.packed(kind: kind, body: body)) }

  /// Sends a frame; dropped where there is no connection.
  public func send(_ frame: Frame) { client.loop.submit { [client] in client.send(frame) } }

  /// Says goodbye and closes the connection.
  public func close(_ goodbye: Goodbye = Goodbye(.leaving, "the client is stopping")) {
    client.loop.submit { [client] in client.leave(goodbye) }
  }

  /// Has `work` done on the loop's thread after `delay`.
  public func schedule(after delay: Duration, _ work: @escaping @Sendable () -> Void) {
    client.loop.schedule(after: delay, work)
  }

  /// Says goodbye, ends the thread and waits for it; no events are told afterwards.
  public func stop(_ goodbye: Goodbye = Goodbye(.leaving, "the client is stopping")) {
    let latch = Latch()
    client.loop.submit { [client] in client.stop(goodbye, latch) }
    latch.wait()
    client.loop.stop()
  }
}

/// A client's connection.
// SAFETY: after `init` touched on the loop's thread alone: every caller is a handler of the loop or
// work submitted to it.
final class ClientLoop: ConnectionOwner, @unchecked Sendable {
  /// What does not change.
  struct Settings: Sendable {
    let target: ClientTarget
    let limits: ConnectionLimits
    let wall: TimeSource
    let limit: @Sendable (UInt8) -> Int?
    let onRenewed: @Sendable (ClientIdentity) -> Void
    let onEvent: @Sendable (TransportEvent) -> Void
  }

  let loop: EventLoop
  private let settings: Settings
  private var identity: ClientIdentity?
  private var context: TLSContext?
  private var connection: Connection?
  private var lastNumber: UInt64 = 0
  private var untried: [(name: String, address: ResolvedAddress)] = []
  private var stopping: Latch?

  init(_ settings: Settings, identity: ClientIdentity?, loop: EventLoop) throws(TransportError) {
    self.settings = settings
    self.identity = identity
    self.loop = loop
    context = try identity.map { identity throws(TransportError) in
      try TLSContext(identity.credentials, isServer: false)
    }
  }

  func connect() {
    guard connection == nil, stopping == nil else { return }
    do throws(TransportError) {
      untried = try addresses()
      try connectNext()
    } catch {
      tellFailure(.failed("\(error)"))
    }
  }

  func send(_ frame: Frame) { connection?.send(frame) }

  func leave(_ goodbye: Goodbye) { connection?.leave(goodbye) }

  func stop(_ goodbye: Goodbye, _ latch: Latch) {
    stopping = latch
    untried = []
    guard let connection else { return latch.open() }
    connection.leave(goodbye)
  }

  private func addresses() throws(TransportError) -> [(name: String, address: ResolvedAddress)] {
    switch settings.target {
    case .adminSocket(let path): return [(path, try .unix(path))]
    case .server(let list):
      var found: [(String, ResolvedAddress)] = []
      for address in list {
        for resolved in try address.resolved(forListening: false) {
          found.append(("\(address)", resolved))
        }
      }
      return found
    }
  }

  private func connectNext() throws(TransportError) {
    guard !untried.isEmpty else { throw .badAddress("(none)") }
    let (name, address) = untried.removeFirst()
    lastNumber += 1
    let made = Connection(
      PeerID(number: lastNumber, loop: 0),
      socket: try Descriptor.connecting(to: address, named: name),
      channel: .connecting(context),
      address: name,
      limits: settings.limits,
      loop: loop,
      owner: self
    )
    connection = made
    made.start()
  }

  func recognise(_ connection: Connection, _ certificate: Certificate?) -> Recognition {
    untried = []
    if context != nil, certificate?.allows(.server) != true {
      return .refused(Goodbye(.refused, "not the certificate of a server"))
    }
    let limit = settings.limit
    return .known(.server) { kind in
      switch ConnectionFrame(rawValue: kind) {
      case .ping?, .pong?, .goodbye?, .granted?: ConnectionFrame(rawValue: kind)?.limit
      case nil where kind >= ConnectionFrame.firstFree: limit(kind)
      default: nil
      }
    }
  }

  func tell(_ connection: Connection, _ event: TransportEvent) {
    switch event {
    case .closed: break  // `ended` tells it, since it is called for failed attempts as well
    case .connected:
      settings.onEvent(event)
      renewIfNeeded()
    case .received, .backpressure: settings.onEvent(event)
    }
  }

  func ended(_ connection: Connection, _ reason: CloseReason) {
    self.connection = nil
    if !untried.isEmpty, stopping == nil {
      do throws(TransportError) {
        return try connectNext()
      } catch {
        untried = []
      }
    }
    settings.onEvent(.closed(connection.id, reason, traffic: connection.traffic))
    stopping?.open()
  }

  private func tellFailure(_ reason: CloseReason) {
    lastNumber += 1
    let id = PeerID(number: lastNumber, loop: 0)
    settings.onEvent(.closed(id, reason, traffic: Traffic()))
  }

  // MARK: Renewal

  /// Asks for a new certificate in the last third of the present one's time.
  private func renewIfNeeded() {
    guard let identity, let connection, connection.isOpen,
      identity.needsRenewal(at: settings.wall.now)
    else { return }
    do throws(TransportError) {
      let request = try CertificateRequest.make(for: identity.key)
      connection.send(Frame(kind: ConnectionFrame.renew.rawValue, body: request))
    } catch {
      connection.leave(Goodbye(.leaving, "\(error)"), reason: .failed("\(error)"))
    }
  }

  func control(_ connection: Connection, _ kind: ConnectionFrame, _ body: [UInt8]) {
    guard kind == .granted, let present = identity else { return }
    do throws(TransportError) {
      let renewed = try present.renewed(try Certificate(der: body), at: settings.wall.now)
      context = try TLSContext(renewed.credentials, isServer: false)
      identity = renewed
      settings.onRenewed(renewed)
    } catch {
      connection.leave(Goodbye(.violation, "\(error)"), reason: .protocolViolation("\(error)"))
    }
  }
}
