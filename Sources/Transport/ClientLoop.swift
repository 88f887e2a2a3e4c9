// Apache-2.0.
import Telemetry
import WireProtocol

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
    let transfers: TransferSettings?
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
    } catch {
      return tellFailure(error)
    }
    if let failure = connectNext() { tellFailure(failure) }
  }

  /// The connection, nil where there is none.
  var current: Connection? { connection }

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
      var failure = TransportError.badAddress("(none)")
      for address in list {
        do throws(TransportError) {
          found += try address.resolved(forListening: false).map { ("\(address)", $0) }
        } catch {
          failure = error
        }
      }
      guard !found.isEmpty else { throw failure }
      return found
    }
  }

  /// Tries the next address that can be tried.
  ///
  /// - Returns: why the last one could not be, where there is none left.
  private func connectNext() -> TransportError? {
    var failure: TransportError?
    while !untried.isEmpty {
      let (name, address) = untried.removeFirst()
      do throws(TransportError) {
        let socket = try Descriptor.connecting(to: address, named: name)
        begin(socket, name)
        return nil
      } catch {
        failure = error
      }
    }
    return failure
  }

  private func begin(_ socket: consuming Descriptor, _ name: String) {
    lastNumber += 1
    let made = Connection(
      PeerID(number: lastNumber, loop: 0),
      socket: socket,
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
    let terms = TransferTerms(settings: settings.transfers, peer: .server)
    return .known(
      .server,
      limit: { kind in
        switch ConnectionFrame(rawValue: kind) {
        case let frame? where [.ping, .pong, .goodbye, .granted].contains(frame): frame.limit
        case let frame?: terms.limit(frame)
        case nil: kind >= ConnectionFrame.firstFree ? limit(kind) : nil
        }
      },
      transfers: terms
    )
  }

  func moved(_ bytes: Traffic) {}

  func tell(_ connection: Connection, _ event: TransportEvent) {
    switch event {
    case .closed: break  // `ended` tells it, since it is called for failed attempts as well
    case .connected:
      settings.onEvent(event)
      renewIfNeeded(connection)
    case .received, .announced, .backpressure: settings.onEvent(event)
    }
  }

  func ended(_ connection: Connection, _ reason: CloseReason) {
    self.connection = nil
    if !untried.isEmpty, stopping == nil, connectNext() == nil { return }
    settings.onEvent(.closed(connection.id, reason, traffic: connection.traffic))
    stopping?.open()
  }

  private func tellFailure(_ error: TransportError) {
    lastNumber += 1
    let id = PeerID(number: lastNumber, loop: 0)
    settings.onEvent(.closed(id, .failed("\(error)"), traffic: Traffic()))
  }

  // MARK: Renewal

  /// Asks for a new certificate in the last third of the present one's time, now or while the
  /// connection lasts.
  private func renewIfNeeded(_ connection: Connection) {
    guard let identity, connection.isOpen else { return }
    guard identity.needsRenewal(at: settings.wall.now) else {
      return loop.schedule(after: .seconds(3600)) { [self, id = connection.id] in
        if let connection = self.connection, connection.id == id { renewIfNeeded(connection) }
      }
    }
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
      renewIfNeeded(connection)
    } catch {
      connection.leave(Goodbye(.violation, "\(error)"), reason: .protocolViolation("\(error)"))
    }
  }
}
