// Apache-2.0.
import Synchronization
public import WireProtocol

/// Listens for clients over TLS and for the administration tool on a Unix socket.
///
/// Everything is sent from event-loop threads; events are told on them. All methods may be called
/// from any thread.
public final class TransportServer: Sendable {
  /// Where it listens, with the ports that the kernel chose.
  public let addresses: [SocketAddress]
  private let shared: ServerShared
  private let loops: [ServerLoop]
  private let listeners: ListenerBox
  private let isStopped = Atomic<Bool>(false)

  // SAFETY: the listeners are touched on the first loop's thread alone.
  private final class ListenerBox: @unchecked Sendable {
    var listeners: [Listener] = []
  }

  /// Takes the addresses and the path of the administration socket; `start` lets clients in.
  ///
  /// - Parameters:
  ///   - authority: says who may come in, and enrols new clients.
  ///   - onEvent: told on loop threads; must not block.
  /// - Throws: `TransportError` where an address cannot be listened at.
  public init(
    _ configuration: ServerConfiguration,
    authority: CertificateAuthority,
    onEvent: @escaping @Sendable (TransportEvent) -> Void
  ) throws(TransportError) {
    let context = try TLSContext(authority.serverCredentials, isServer: true)
    let registrar = try EventLoop(time: configuration.time)
    let shared = ServerShared(configuration, context, authority, registrar, onEvent)
    var loops: [ServerLoop] = []
    for index in 0..<min(max(1, configuration.loops), 255) {
      loops.append(ServerLoop(try EventLoop(time: configuration.time), index: index, shared))
    }
    self.shared = shared
    self.loops = loops
    shared.whenClosing { [loops] peer, goodbye in
      let loop = loops[peer.loop]
      loop.loop.submit { loop.close(peer, goodbye) }
    }
    let box = ListenerBox()
    listeners = box
    let all = loops
    do throws(TransportError) {
      for address in configuration.addresses {
        for resolved in try address.resolved(forListening: true).prefix(1) {
          let socket = try Descriptor.listening(at: resolved, named: "\(address)")
          box.listeners.append(
            Listener(socket, loop: loops[0].loop) { accepted in
              Self.deal(accepted, to: all, shared, isAdministration: false)
            }
          )
        }
      }
      addresses = box.listeners.compactMap(\.address)
      if let path = configuration.adminSocket {
        let socket = try AdminSocket.listen(at: path)
        box.listeners.append(
          Listener(socket, loop: loops[0].loop) { accepted in
            Self.deal(accepted, to: all, shared, isAdministration: true)
          }
        )
      }
    } catch {
      for loop in loops.map(\.loop) + [registrar] { loop.stop() }
      throw error
    }
  }

  /// Lets clients in: those that have come since `init` and all later ones.
  ///
  /// Apart from `init`, so that whoever is told of events can be given the server first.
  public func start() {
    loops[0].loop.submit { [listeners, first = loops[0].loop] in
      for listener in listeners.listeners {
        // The loop has room for a handful of listeners; where it has not, nobody can connect.
        do throws(TransportError) { try listener.start() } catch { first.stop() }
      }
    }
    Self.watchCertificate(shared, on: loops[0].loop)
  }

  /// Looks at the server's certificate once a day: new connections see the new one, others go on.
  private static func watchCertificate(_ shared: ServerShared, on loop: EventLoop) {
    loop.schedule(after: certificateWatch) { [weak loop] in
      guard let loop else { return }
      // Where it fails: the present one has weeks to go, tomorrow again.
      shared.registrar.submit { lookAtCertificate(shared) }
      watchCertificate(shared, on: loop)
    }
  }

  /// Shows the certificate that lies in the authority's folder, or a new one where there is none.
  private static func lookAtCertificate(_ shared: ServerShared) {
    do throws(TransportError) {
      guard let renewed = try shared.authority.renewServer() else { return }
      shared.context = try TLSContext(renewed, isServer: true)
      if let certificate = renewed.own?.certificate {
        shared.configuration.onRenewal?(.success(certificate))
      }
    } catch {
      shared.configuration.onRenewal?(.failure(error))
    }
  }

  /// Looks at the server's certificate now: new connections see one that was put in its place.
  public func reloadCertificate() {
    shared.registrar.submit { [shared] in Self.lookAtCertificate(shared) }
  }

  /// Between two looks at the server's certificate.
  static let certificateWatch = Duration.seconds(86_400)

  /// Spreads new connections over the loops, unless there are too many.
  private static func deal(
    _ accepted: consuming Descriptor,
    to loops: [ServerLoop],
    _ shared: ServerShared,
    isAdministration: Bool
  ) {
    guard isAdministration || shared.hasRoom else { return }
    let number = accepted.release()
    let loop = loops[shared.count() % loops.count]
    loop.loop.submit { loop.adopt(number, isAdministration: isAdministration) }
  }

  /// Sends a message; dropped where the peer is gone.
  public func send(to peer: PeerID, kind: UInt8, body: [UInt8]) {
    send(to: peer, Frame.packed(kind: kind, body: body))
  }

  /// Sends a frame, packed once for many peers; dropped where the peer is gone.
  public func send(to peer: PeerID, _ frame: Frame) {
    onLoop(of: peer) { $0.connection(peer)?.send(frame) }
  }

  /// Sends a message in chunks that the peer asks for, each blob of it once in memory however many
  /// peers it goes to; dropped where the peer is gone, or where the same message is under way.
  public func send(to peer: PeerID, kind: UInt8, pieces: [MessagePiece]) {
    onLoop(of: peer) { $0.connection(peer)?.send(kind, pieces) }
  }

  /// Takes back the messages of a kind that travel to a peer in chunks and are not through yet.
  public func withdraw(kind: UInt8, from peer: PeerID) {
    onLoop(of: peer) { $0.connection(peer)?.withdraw(kind) }
  }

  /// Says goodbye to a peer and closes its connection.
  public func close(_ peer: PeerID, _ goodbye: Goodbye) {
    onLoop(of: peer) { $0.close(peer, goodbye) }
  }

  /// Has `work` done on the thread of a peer's loop.
  func onLoop(of peer: PeerID, _ work: @escaping @Sendable (ServerLoop) -> Void) {
    guard peer.loop < loops.count else { return }
    let loop = loops[peer.loop]
    loop.loop.submit { work(loop) }
  }

  /// Makes a client's certificates count no more and closes its connection; waits for the disk.
  ///
  /// - Returns: false where the name is unknown.
  public func revoke(_ name: String) throws(TransportError) -> Bool {
    let isKnown = try shared.authority.revoke(name)
    if let peer = shared.peer(named: name) {
      close(peer, Goodbye(.refused, "the certificate of \(name) is revoked"))
    }
    return isKnown
  }

  /// Bytes on the wire in all connections since the start, TLS records and handshakes included.
  public var traffic: Traffic { shared.traffic }

  /// Connections at the moment.
  public var connectionCount: Int { shared.connectionCount }

  /// Takes no more connections, says goodbye to all and ends; waits until that is done.
  ///
  /// Not to be called from `onEvent`, whose threads it waits for. A second call does nothing.
  ///
  /// - Parameter retryAfter: when clients should come back.
  public func shutdown(retryAfter: Duration?, text: String = "the server is stopping") {
    precondition(
      !loops.contains(where: \.loop.isCurrent),
      "TransportServer.shutdown was called from onEvent"
    )
    guard !isStopped.exchange(true, ordering: .relaxed) else { return }
    let listeners = self.listeners
    loops[0].loop.submit {
      for listener in listeners.listeners { listener.stop() }
      listeners.listeners = []
    }
    if let path = shared.configuration.adminSocket { AdminSocket.remove(path) }
    let goodbye = Goodbye(.leaving, retryAfter: retryAfter, text)
    // A farewell has its own deadline, so this ends.
    let latches = loops.map { loop in
      let latch = Latch()
      loop.loop.submit { loop.leaveAll(goodbye, latch) }
      return latch
    }
    for latch in latches { latch.wait() }
    // Its answers are for connections of the loops.
    shared.registrar.stop()
    for loop in loops { loop.loop.stop() }
    // The loops know the shared state, which must not go on knowing them.
    shared.whenClosing { _, _ in }
  }
}
