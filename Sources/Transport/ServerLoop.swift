// Apache-2.0.
import WireProtocol

/// The connections that one event loop serves.
// SAFETY: after `init` touched on the loop's thread alone: every caller is a handler of the loop or
// work submitted to it.
final class ServerLoop: ConnectionOwner, @unchecked Sendable {
  let loop: EventLoop
  private let server: ServerShared
  private let index: Int
  private var connections: [PeerID: Connection] = [:]
  /// Connections by age, those that may still be strangers among them.
  private var byAge: [PeerID] = []
  private var oldest = 0
  private var lastNumber: UInt64 = 0
  /// Those whose renewal is under way.
  private var renewing: Set<PeerID> = []
  /// Told when the last connection has gone; set once the server stops.
  private var whenEmpty: Latch?

  init(_ loop: EventLoop, index: Int, _ server: ServerShared) {
    self.loop = loop
    self.index = index
    self.server = server
  }

  /// Takes over a socket that has just been accepted and counted.
  func adopt(_ number: Int32, isAdministration: Bool) {
    let socket = Descriptor(number)
    let isWelcome = !isAdministration || AdminSocket.isOwnUser(number)
    guard whenEmpty == nil, isWelcome else { return server.uncount(isStranger: true) }
    lastNumber += 1
    let id = PeerID(number: lastNumber, loop: index)
    let address = socket.address(local: false)?.description ?? "this machine"
    let connection = Connection(
      id,
      socket: socket,
      channel: isAdministration ? .plain(Traffic()) : .listening(server.context),
      address: address,
      limits: server.configuration.limits,
      loop: loop,
      owner: self
    )
    connections[id] = connection
    byAge.append(id)
    makeRoom()
    connection.start()
  }

  /// Ends the strangers that have been here longest while there are too many.
  ///
  /// Refusing new ones instead would let a thousand silent sockets keep every client out.
  private func makeRoom() {
    while oldest < byAge.count {
      if let connection = connections[byAge[oldest]], connection.identity == .stranger {
        guard server.isCrowded, oldest + 1 < byAge.count else { break }
        connection.end(.failed("too many strangers"))
      }
      oldest += 1
    }
    if oldest > 1024 {
      byAge.removeFirst(oldest)
      oldest = 0
    }
  }

  /// A connection, nil where it is gone.
  func connection(_ peer: PeerID) -> Connection? { connections[peer] }

  func close(_ peer: PeerID, _ goodbye: Goodbye) { connections[peer]?.leave(goodbye) }

  /// Takes no more connections and says goodbye to all; tells `latch` when they are gone.
  func leaveAll(_ goodbye: Goodbye, _ latch: Latch) {
    whenEmpty = latch
    for connection in Array(connections.values) { connection.leave(goodbye) }
    if connections.isEmpty { latch.open() }
  }

  func recognise(_ connection: Connection, _ certificate: Certificate?) -> Recognition {
    let limit = server.configuration.limit
    func known(_ identity: PeerIdentity) -> Recognition {
      if identity != .stranger { server.recognised() }
      let terms = TransferTerms(settings: server.configuration.transfers, peer: identity)
      return .known(
        identity,
        limit: { kind in
          switch ConnectionFrame(rawValue: kind) {
          case let frame? where [.ping, .pong, .goodbye, .renew].contains(frame): frame.limit
          case let frame?: terms.limit(frame)
          case nil: kind >= ConnectionFrame.firstFree ? limit(kind, identity) : nil
          }
        },
        transfers: terms
      )
    }
    if connection.isPlain { return known(.administrator) }
    guard let certificate else { return Self.stranger }
    let name = certificate.name
    if case .refused(let reason) = server.authority.admission(certificate) {
      return .refused(Goodbye(.refused, reason))
    }
    // One connection a client: an older one is half dead, or a copy.
    if let older = server.claim(name, for: connection.id) {
      server.closeElsewhere(older, Goodbye(.replaced, "\(name) has connected anew"))
    }
    // A revocation closes the connection that has claimed the name. One that came between the question
    // and the claim found none.
    if case .refused(let reason) = server.authority.admission(certificate) {
      server.release(name, of: connection.id)
      return .refused(Goodbye(.refused, reason))
    }
    return known(.client(name: name, serial: certificate.serial))
  }

  private static let stranger = Recognition.known(
    .stranger,
    limit: { kind in
      switch ConnectionFrame(rawValue: kind) {
      case .question?, .enrol?, .goodbye?: ConnectionFrame(rawValue: kind)?.limit
      default: nil
      }
    },
    transfers: nil
  )

  func control(_ connection: Connection, _ kind: ConnectionFrame, _ body: [UInt8]) {
    // A renewed certificate is too young for the next renewal; the others are asked for once.
    guard kind == .renew ? renewing.insert(connection.id).inserted : connection.answersFirst(kind)
    else { return connection.leave(Goodbye(.violation, "\(kind) was answered already")) }
    let (authority, id) = (server.authority, connection.id)
    switch (kind, connection.certificate) {
    case (.question, _):
      let body = authority.certificate.der
      connection.send(Frame(kind: ConnectionFrame.authority.rawValue, body: body))
    case (.enrol, nil):
      grant(kind, to: id) { () throws(TransportError) in
        try authority.redeem(
          secret: Array(body.prefix(EnrolmentToken.secretBytes)),
          request: Array(body.dropFirst(EnrolmentToken.secretBytes))
        )
      }
    case (.renew, let present?):
      grant(kind, to: id) { () throws(TransportError) in
        try authority.renew(present, request: body)
      }
    default: connection.leave(Goodbye(.refused, "\(kind) is not asked for here"))
    }
  }

  /// Has a certificate made on the thread that waits for the disk; nobody else waits for it.
  private func grant(
    _ kind: ConnectionFrame,
    to peer: PeerID,
    _ make: @escaping @Sendable () throws(TransportError) -> Certificate
  ) {
    server.registrar.submit { [self] in
      let result = Result { () throws(TransportError) in try make() }
      loop.submit { [self] in granted(kind, to: peer, result) }
    }
  }

  private func granted(
    _ kind: ConnectionFrame,
    to peer: PeerID,
    _ result: Result<Certificate, TransportError>
  ) {
    renewing.remove(peer)
    guard let connection = connections[peer] else { return }
    switch result {
    case .success(let made):
      if kind == .renew { connection.renewed(made) }
      connection.send(Frame(kind: ConnectionFrame.granted.rawValue, body: made.der))
    case .failure(let error):
      switch error {
      // What is wrong with this machine is not for strangers, and passes.
      case .system, .file, .tls:
        connection.leave(
          Goodbye(.overloaded, "the server cannot do it now"),
          reason: .failed("\(error)")
        )
      default: connection.leave(Goodbye(.refused, "\(error)"), reason: .failed("\(error)"))
      }
    }
  }

  func moved(_ bytes: Traffic) { server.add(bytes) }

  func tell(_ connection: Connection, _ event: TransportEvent) { server.onEvent(event) }

  func ended(_ connection: Connection, _ reason: CloseReason) {
    connections[connection.id] = nil
    server.uncount(isStranger: connection.identity == .stranger)
    switch (connection.identity, reason) {
    case (.client(let name, _), _): server.release(name, of: connection.id)
    case (.stranger, .failed(let words)), (.stranger, .protocolViolation(let words)):
      server.refused(connection.address, words)
    default: break
    }
    if connections.isEmpty { whenEmpty?.open() }
  }
}
