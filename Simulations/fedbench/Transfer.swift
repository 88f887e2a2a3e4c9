// Apache-2.0.
import CommandLineTool
import Glibc
import Synchronization
import Telemetry
import Transport
import WireProtocol

/// What a dense payload costs on its way: chunks, digest, file and TLS together.
let transferBenchmark = Command(
  "transfer",
  "A payload in chunks over TLS on loopback: up, down, several at once, with the memory it takes.",
  options: [
    .value("bytes", "N", "Bytes of a payload (40370176, 38.5 MiB)."),
    .value("clients", "N", "Clients that send at once (10)."),
    .value("dir", "DIR", "Folder on the disk where payloads gather (.)."),
  ]
) { arguments, console in
  let bytes = try arguments.integer("bytes", in: 1...(256 << 20)) ?? 40_370_176
  let clients = try arguments.integer("clients", in: 1...100) ?? 10
  let folder = "\(arguments.value("dir") ?? ".")/samara-transfer-\(getpid())"
  guard unsafe mkdir(folder, 0o700) == 0 else {
    throw CommandFailure("cannot make \(folder)", code: .usage)
  }
  defer { TLSCrowd.remove(folder) }
  let bench = try TransferBench(folder, bytes: bytes, clients: clients)
  bench.measure(console)
  return .ok
}

/// A server and its clients in one process.
private final class TransferBench {
  private let events = TransferEvents()
  private let server: TransportServer
  private let clients: [TransportClient]
  private let loops: [EventLoop]
  private let payload: Blob

  init(_ folder: String, bytes: Int, clients count: Int) throws {
    // Random, as payloads are that were compressed before.
    var generator = SystemRandomNumberGenerator()
    payload = Blob((0..<bytes).map { _ in UInt8.random(in: 0...255, using: &generator) })
    loops = [try EventLoop(), try EventLoop(), try EventLoop()]
    let authority = try CertificateAuthority.create(in: "\(folder)/authority")
    var configuration = ServerConfiguration(
      addresses: [SocketAddress(host: "127.0.0.1", port: 0)],
      limit: { _, _ in Message.longestFrame }
    )
    configuration.transfers = TransferSettings(
      store: try PartStore(folder: "\(folder)/blobs", namesWhole: true, loop: loops[0]),
      limit: { _, _ in 1 << 30 }
    )
    let server = try TransportServer(
      configuration,
      authority: authority,
      onEvent: { [events] in events.note($0) }
    )
    self.server = server
    var clients: [TransportClient] = []
    for index in 0..<count {
      let identity = try ClientIdentity.made(
        by: authority,
        name: "client-\(index)",
        addresses: server.addresses
      )
      let store = try PartStore(
        folder: "\(folder)/parts-\(index)",
        namesWhole: false,
        loop: loops[1]
      )
      clients.append(
        try TransportClient(
          .server(server.addresses),
          identity: identity,
          limit: { _ in Message.longestFrame },
          transfers: TransferSettings(store: store) { _, _ in 1 << 30 },
          loop: loops[2],
          onEvent: { [events] event in if case .received = event { events.note(event) } }
        )
      )
    }
    self.clients = clients
    server.start()
    for client in clients { client.connect() }
    events.wait { $0.peers.count == count }
  }

  func measure(_ console: Console) {
    let megabytes = Double(payload.bytes.count) / 1e6
    _ = payload.digest
    let up = seconds { clients[0].send(kind: 18, pieces: [.bytes([0]), .blob(payload)]) }
    ReportRow("up, one client: \(megabytes) MB, digest checked, in a file", megabytes / up, "MB/s")
      .write(to: console)
    let down = seconds { server.send(to: events.peers[0], kind: 34, pieces: [.blob(payload)]) }
    ReportRow("down, one client", megabytes / down, "MB/s").write(to: console)
    ResidentMemory.resetPeak()
    let before = ResidentMemory.now()
    let all = seconds(clients.count) {
      // Each its own bytes, but for what they share with the others in this process.
      for (index, client) in clients.enumerated() {
        client.send(kind: 18, pieces: [.bytes([UInt8(index)]), .blob(payload)])
      }
    }
    let peak = ResidentMemory.peak() - before
    let count = Double(clients.count)
    ReportRow("up, \(clients.count) at once, together", count * megabytes / all, "MB/s")
      .write(to: console)
    ReportRow("memory of all that, bodies thrown away as they come", Double(peak) / 1e6, "MB")
      .write(to: console)
    let peers = events.peers
    ResidentMemory.resetPeak()
    let start = ResidentMemory.now()
    let out = seconds(peers.count) {
      for peer in peers { server.send(to: peer, kind: 34, pieces: [.blob(payload)]) }
    }
    ReportRow("down, \(peers.count) at once, one copy", count * megabytes / out, "MB/s")
      .write(to: console)
    ReportRow(
      "memory of all that, bodies of the clients included",
      Double(ResidentMemory.peak() - start) / 1e6,
      "MB"
    ).write(to: console)
    for client in clients { client.stop() }
    server.shutdown(retryAfter: nil)
    for loop in loops { loop.stop() }
  }

  /// Seconds until so many messages more have come.
  private func seconds(_ messages: Int = 1, _ body: () -> Void) -> Double {
    let begun = TimeSource.monotonic.now
    let goal = events.received + messages
    body()
    events.wait { $0.received >= goal }
    return (TimeSource.monotonic.now - begun).inSeconds
  }
}

/// What has happened on the connections.
private final class TransferEvents: Sendable {
  struct Seen {
    var peers: [PeerID] = []
    var received = 0
  }

  private let seen = Mutex(Seen())
  private let pause = Mutex<Latch?>(nil)

  var peers: [PeerID] { seen.withLock { $0.peers } }
  var received: Int { seen.withLock { $0.received } }

  func note(_ event: TransportEvent) {
    seen.withLock { seen in
      switch event {
      case .connected(let peer, _, _): seen.peers.append(peer)
      case .received: seen.received += 1
      default: break
      }
    }
    pause.withLock { $0 }?.open()
  }

  /// Waits until something that is noted makes `condition` true.
  func wait(_ condition: (Seen) -> Bool) {
    while true {
      let latch = Latch()
      pause.withLock { $0 = latch }
      if condition(seen.withLock { $0 }) { return }
      latch.wait()
    }
  }
}
