// Apache-2.0.
import Synchronization
import Telemetry

/// What all loops of a server share.
final class ServerShared: Sendable {
  let configuration: ServerConfiguration
  private let shown: Mutex<TLSContext>
  let authority: CertificateAuthority
  let onEvent: @Sendable (TransportEvent) -> Void
  /// The thread that waits for the authority's disk.
  let registrar: EventLoop
  private let accepted = Atomic<Int>(0)
  private let connections = Atomic<Int>(0)
  private let strangers = Atomic<Int>(0)
  private let received = Atomic<UInt64>(0)
  private let sent = Atomic<UInt64>(0)
  private let state = Mutex(State())

  private struct State {
    var peers: [String: PeerID] = [:]
    var lastRefusal: Duration?
    var untoldRefusals = 0
    var close: (@Sendable (PeerID, Goodbye) -> Void)?
  }

  init(
    _ configuration: ServerConfiguration,
    _ context: TLSContext,
    _ authority: CertificateAuthority,
    _ registrar: EventLoop,
    _ onEvent: @escaping @Sendable (TransportEvent) -> Void
  ) {
    self.configuration = configuration
    shown = Mutex(context)
    self.authority = authority
    self.registrar = registrar
    self.onEvent = onEvent
  }

  /// What new connections are shown.
  var context: TLSContext {
    get { shown.withLock { $0 } }
    set(new) { shown.withLock { $0 = new } }
  }

  /// Whether one more may connect.
  var hasRoom: Bool { connections.load(ordering: .relaxed) < configuration.mostConnections }

  /// Whether there are more strangers than there may be.
  var isCrowded: Bool { strangers.load(ordering: .relaxed) > configuration.mostStrangers }

  /// Connections at the moment.
  var connectionCount: Int { connections.load(ordering: .relaxed) }

  /// Counts a new connection, a stranger as yet; its number.
  func count() -> Int {
    strangers.add(1, ordering: .relaxed)
    connections.add(1, ordering: .relaxed)
    return accepted.add(1, ordering: .relaxed).oldValue
  }

  /// A stranger has turned out to be known.
  func recognised() { strangers.subtract(1, ordering: .relaxed) }

  /// A connection has ended.
  func uncount(isStranger: Bool) {
    if isStranger { strangers.subtract(1, ordering: .relaxed) }
    connections.subtract(1, ordering: .relaxed)
  }

  /// Tells that a peer was not let in, unless another was told within this second.
  func refused(_ address: String, _ reason: String) {
    guard let tell = configuration.onRefusal else { return }
    let now = configuration.time.now
    let untold = state.withLock { state -> Int? in
      if let last = state.lastRefusal, now - last < .seconds(1) {
        state.untoldRefusals += 1
        return nil
      }
      defer { (state.lastRefusal, state.untoldRefusals) = (now, 0) }
      return state.untoldRefusals
    }
    guard let untold else { return }
    tell(address, untold == 0 ? reason : "\(reason) (and \(untold) others before)")
  }

  /// Says how to close a connection of whatever loop.
  func whenClosing(_ close: @escaping @Sendable (PeerID, Goodbye) -> Void) {
    state.withLock { $0.close = close }
  }

  /// Closes a connection of whatever loop.
  func closeElsewhere(_ peer: PeerID, _ goodbye: Goodbye) {
    state.withLock { $0.close }?(peer, goodbye)
  }

  /// Notes which connection is a client's; the older one, if there is any.
  func claim(_ name: String, for peer: PeerID) -> PeerID? {
    state.withLock { $0.peers.updateValue(peer, forKey: name) }
  }

  /// Forgets a client's connection, unless a newer one has taken its place.
  func release(_ name: String, of peer: PeerID) {
    state.withLock { state in
      if state.peers[name] == peer { state.peers[name] = nil }
    }
  }

  /// The connection of a client.
  func peer(named name: String) -> PeerID? { state.withLock { $0.peers[name] } }

  /// Counts bytes that have moved.
  func add(_ traffic: Traffic) {
    received.add(traffic.received, ordering: .relaxed)
    sent.add(traffic.sent, ordering: .relaxed)
  }

  /// Bytes of all connections since the start.
  var traffic: Traffic {
    Traffic(received: received.load(ordering: .relaxed), sent: sent.load(ordering: .relaxed))
  }
}
