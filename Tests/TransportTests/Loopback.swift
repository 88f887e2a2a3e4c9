// Apache-2.0.
import Glibc
import Synchronization
import Telemetry
import Transport
import TestSupport

/// A clock that stands still unless a test moves it.
final class ManualClock: Sendable {
  private let now: Mutex<Duration>

  init(_ start: Duration = .seconds(1_000_000)) { now = Mutex(start) }

  var source: TimeSource { TimeSource { self.now.withLock { $0 } } }

  func advance(_ step: Duration) { now.withLock { $0 += step } }
}

/// Waits until another thread has made `condition` true; the suite's time limit ends it otherwise.
func until(_ condition: () -> Bool) async {
  while !condition(), !Task.isCancelled { await Task.yield() }
}

extension TransportClient {
  /// Waits until the client's thread has done everything that was at hand.
  func settled() async {
    await withCheckedContinuation { done in schedule(after: .zero) { done.resume() } }
    await withCheckedContinuation { done in schedule(after: .zero) { done.resume() } }
  }
}

/// Events of a server or a client, to be awaited in order.
final class EventQueue: Sendable {
  private let stream: AsyncStream<TransportEvent>
  private let continuation: AsyncStream<TransportEvent>.Continuation

  init() { (stream, continuation) = AsyncStream.makeStream() }

  var handler: @Sendable (TransportEvent) -> Void {
    { [continuation] event in continuation.yield(event) }
  }

  /// The first event from now on that `pick` makes something of.
  func first<T: Sendable>(_ pick: @Sendable (TransportEvent) -> T?) async -> T {
    for await event in stream {
      if let found = pick(event) { return found }
    }
    fatalError("the events ended")
  }

  func connected() async -> (PeerID, PeerIdentity) {
    await first { if case .connected(let peer, let who, _) = $0 { (peer, who) } else { nil } }
  }

  func received() async -> (kind: UInt8, body: [UInt8]) {
    await first { if case .received(_, let kind, let body, _) = $0 { (kind, body) } else { nil } }
  }

  func peer() async -> PeerID { await connected().0 }

  func closed() async -> CloseReason {
    await first { if case .closed(_, let reason, _) = $0 { reason } else { nil } }
  }
}

/// What a server tells of those it does not let in.
final class Refusals: Sendable {
  private let told = Mutex<[String]>([])

  var all: [String] { told.withLock { $0 } }

  func add(_ address: String, _ reason: String) {
    told.withLock { $0.append("\(address): \(reason)") }
  }
}

/// A server with its authority on loopback.
struct LoopbackServer: Sendable {
  let folder: TemporaryFolder
  let authority: CertificateAuthority
  let server: TransportServer
  let events = EventQueue()
  let refusals = Refusals()
  /// Where messages in chunks gather, at the server and at its clients.
  let storeLoop: EventLoop

  /// The longest message that may come in chunks.
  static let longestTransfer = 64 << 20

  /// A slow machine is no hostile peer.
  static let patient = ConnectionLimits(handshake: .seconds(300), enrolment: .seconds(300))

  init(
    loops: Int = 1,
    limits: ConnectionLimits = patient,
    mostStrangers: Int = 1024,
    limit: Int = 1 << 20,
    time: TimeSource = .monotonic,
    wall: TimeSource = .wall,
    mostConnections: Int = 1000,
    parts: PartStore.Limits = PartStore.Limits(),
    partsClock: TimeSource = .wall
  ) throws {
    let folder = TemporaryFolder()
    try self.init(
      try CertificateAuthority.create(in: "\(folder.path)/authority", time: wall),
      in: folder,
      loops: loops,
      limits: limits,
      mostStrangers: mostStrangers,
      limit: limit,
      time: time,
      mostConnections: mostConnections,
      parts: parts,
      partsClock: partsClock
    )
  }

  /// A server of an authority that exists.
  init(
    _ authority: CertificateAuthority,
    in folder: TemporaryFolder,
    at address: SocketAddress = SocketAddress(host: "127.0.0.1", port: 0),
    loops: Int = 1,
    limits: ConnectionLimits = patient,
    mostStrangers: Int = 1024,
    limit: Int = 1 << 20,
    time: TimeSource = .monotonic,
    mostConnections: Int = 1000,
    parts: PartStore.Limits = PartStore.Limits(),
    partsClock: TimeSource = .wall
  ) throws {
    self.folder = folder
    storeLoop = try EventLoop()
    self.authority = authority
    var configuration = ServerConfiguration(
      addresses: [address],
      adminSocket: "\(folder.path)/admin",
      loops: loops,
      limits: limits,
      mostConnections: mostConnections,
      mostStrangers: mostStrangers,
      time: time,
      limit: { kind, _ in kind < 100 ? limit : nil }
    )
    let store = try PartStore(
      folder: "\(folder.path)/blobs",
      limits: parts,
      namesWhole: true,
      loop: storeLoop,
      wall: partsClock
    )
    configuration.transfers = TransferSettings(store: store) { kind, identity in
      identity != .administrator && kind < 100 ? Self.longestTransfer : nil
    }
    configuration.onRefusal = { [refusals] in refusals.add($0, $1) }
    server = try TransportServer(
      configuration,
      authority: authority,
      onEvent: events.handler
    )
    server.start()
  }

  var address: SocketAddress { server.addresses[0] }

  /// A fresh client, enrolled over the wire.
  func enrol(_ name: String) throws -> ClientIdentity {
    let token = try authority.issueToken(name: name, addresses: server.addresses)
    return try ClientIdentity.join(token: token.text, folder: "\(folder.path)/\(name)")
  }

  func client(
    _ identity: ClientIdentity,
    limits: ConnectionLimits = patient,
    time: TimeSource = .monotonic,
    wall: TimeSource = .wall,
    onRenewed: @escaping @Sendable (ClientIdentity) -> Void = { _ in },
    events: EventQueue
  ) throws -> TransportClient {
    let store = try PartStore(
      folder: "\(folder.path)/\(identity.name)-parts",
      namesWhole: false,
      loop: storeLoop
    )
    return try TransportClient(
      .server(server.addresses),
      identity: identity,
      limits: limits,
      time: time,
      wall: wall,
      limit: { $0 < 100 ? 1 << 26 : nil },
      transfers: TransferSettings(store: store) { _, _ in Self.longestTransfer },
      onRenewed: onRenewed,
      onEvent: events.handler
    )
  }
}
