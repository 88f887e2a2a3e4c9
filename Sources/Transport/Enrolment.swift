// Apache-2.0.
import Codecs
import Synchronization
import Telemetry
import WireProtocol

/// The client's side of an enrolment:
///
///     client                                server
///     TLS, without a certificate  ──►
///     question                    ──►
///                                 ◄──       authority: its certificate
///     SHA-256 of it is the token's, and the server's own certificate is made by it: else goodbye
///     enrol: secret, request      ──►
///                                 ◄──       granted: the client's certificate
// SAFETY: `outcome` is behind a lock; the rest is touched on the loop's thread alone.
final class Enrolment: ConnectionOwner, @unchecked Sendable {
  private let token: EnrolmentToken
  private let request: [UInt8]
  private let now: Duration
  private let outcome = Mutex<Result<(Certificate, Certificate), TransportError>?>(nil)
  private let done = Latch()
  private var connection: Connection?
  private var authority: Certificate?

  private init(_ token: EnrolmentToken, request: [UInt8], now: Duration) {
    self.token = token
    self.request = request
    self.now = now
  }

  /// Enrols; the authority's certificate and the client's.
  static func run(
    _ token: EnrolmentToken,
    _ key: PrivateKey,
    limits: ConnectionLimits,
    wall: TimeSource
  ) throws(TransportError) -> (Certificate, Certificate) {
    let loop = try EventLoop()
    defer { loop.stop() }
    var failure = TransportError.badAddress("(none in the token)")
    for address in token.addresses {
      for resolved in try address.resolved(forListening: false) {
        let attempt = Enrolment(
          token,
          request: try CertificateRequest.make(for: key),
          now: wall.now
        )
        switch try attempt.connect(resolved, "\(address)", limits, loop) {
        case .success(let granted):
          guard granted.1.belongs(to: key) else {
            throw .certificate("the server sent a certificate for another key")
          }
          return granted
        case .failure(let error):
          // A server that said no says it on its other addresses as well.
          guard case .closed = error else { throw error }
          failure = error
        }
      }
    }
    throw failure
  }

  private func connect(
    _ address: ResolvedAddress,
    _ name: String,
    _ limits: ConnectionLimits,
    _ loop: EventLoop
  ) throws(TransportError) -> Result<(Certificate, Certificate), TransportError> {
    let context = try TLSContext(.none, isServer: false)
    let number = try Descriptor.connecting(to: address, named: name).release()
    loop.submit { [self] in
      let made = Connection(
        PeerID(number: 1, loop: 0),
        socket: Descriptor(number),
        channel: .connecting(context),
        address: name,
        limits: limits,
        loop: loop,
        owner: self
      )
      connection = made
      made.start()
    }
    done.wait()
    return outcome.withLock { $0 } ?? .failure(.closed(.local))
  }

  func recognise(_ connection: Connection, _ certificate: Certificate?) -> Recognition {
    .known(
      .server,
      limit: { kind in
        switch ConnectionFrame(rawValue: kind) {
        case let frame? where [.authority, .granted, .goodbye, .ping, .pong].contains(frame):
          frame.limit
        default: nil
        }
      },
      transfers: nil
    )
  }

  func moved(_ bytes: Traffic) {}

  func tell(_ connection: Connection, _ event: TransportEvent) {
    guard case .connected = event else { return }
    connection.send(Frame(kind: ConnectionFrame.question.rawValue, body: []))
  }

  func control(_ connection: Connection, _ kind: ConnectionFrame, _ body: [UInt8]) {
    do throws(TransportError) {
      switch (kind, authority) {
      case (.authority, nil):
        authority = try believed(try Certificate(der: body), connection.certificate)
        connection.send(Frame(kind: ConnectionFrame.enrol.rawValue, body: token.secret + request))
      case (.granted, let authority?):
        let certificate = try Certificate(der: body)
        guard certificate.name == token.name, certificate.isValid(under: authority, at: now) else {
          throw .certificate("the server sent a certificate that is not for \(token.name)")
        }
        finish(.success((authority, certificate)))
      default: throw .certificate("the server answers out of turn")
      }
    } catch {
      finish(.failure(error))
    }
  }

  /// The authority, once it is the token's and has made the certificate that the server showed.
  private func believed(
    _ authority: Certificate,
    _ server: Certificate?
  ) throws(TransportError) -> Certificate {
    guard authority.fingerprint == token.authority else {
      throw .certificate("this is not the server of the token: its authority is another one")
    }
    guard let server, server.allows(.server), server.isValid(under: authority, at: now) else {
      throw .certificate("the server's certificate is not of its authority, or past its time")
    }
    return authority
  }

  func ended(_ connection: Connection, _ reason: CloseReason) {
    if case .goodbye(let goodbye) = reason, goodbye.code == .refused {
      finish(.failure(.refused(goodbye.text)))
    } else {
      finish(.failure(.closed(reason)))
    }
    self.connection = nil
    done.open()
  }

  /// The first outcome counts.
  private func finish(_ result: Result<(Certificate, Certificate), TransportError>) {
    let isFirst = outcome.withLock { outcome in
      defer { outcome = outcome ?? result }
      return outcome == nil
    }
    if isFirst { connection?.leave(Goodbye(.leaving, "enrolled")) }
  }
}
