// Apache-2.0.
import CommandLineTool
import Glibc
import Synchronization
import Telemetry
import Transport
import WireProtocol

/// What a connection costs: setting up, a message, a stream, a thousand idle ones.
let tlsBenchmark = Command(
  "tls",
  "Handshakes, echoes, streams and memory of connections, against OpenSSL alone in memory.",
  options: [
    .value("clients", "N", "Idle clients whose memory is measured (1000)."),
    .value("dir", "DIR", "Folder for keys and certificates (/dev/shm)."),
    .value("crowd", "DIR", "Be the clients of a benchmark that runs already in DIR."),
  ]
) { arguments, console in
  if let folder = arguments.value("crowd") { return try TLSCrowd.run(in: folder) }
  let clients = try arguments.integer("clients", in: 1...20_000) ?? 1000
  let folder = "\(arguments.value("dir") ?? "/dev/shm")/samara-tls-bench-\(getpid())"
  defer { TLSCrowd.remove(folder) }
  let bench = try TLSBench(folder)
  defer { bench.server.shutdown(retryAfter: nil) }
  let floor = try TLSFloor(
    authority: "\(folder)/authority",
    client: "\(folder)/client"
  )
  try bench.measureHandshakes(floor, console)
  try bench.measureEchoes(console)
  try bench.measureStream(floor, console)
  try TLSCrowd.measure(clients, bench, in: folder, console)
  return .ok
}

/// A server on loopback and one client, both production code, in one process.
final class TLSBench: Sendable {
  let authority: CertificateAuthority
  let server: TransportServer
  private let identity: ClientIdentity
  private let heard: Relay

  /// Hands events to whoever measures at present.
  final class Relay: Sendable {
    /// A bare function in a lock would be wrapped once more at every look at it.
    private struct Receiver {
      var tell: (@Sendable (TransportEvent) -> Void)?
    }

    private let receiver = Mutex(Receiver())

    func tell(_ event: TransportEvent) { receiver.withLock { $0.tell }?(event) }

    func set(_ new: (@Sendable (TransportEvent) -> Void)?) { receiver.withLock { $0.tell = new } }
  }

  init(_ folder: String) throws {
    guard unsafe mkdir(folder, 0o700) == 0 else {
      throw CommandFailure("cannot make \(folder)", code: .usage)
    }
    authority = try CertificateAuthority.create(in: "\(folder)/authority")
    let heard = Relay()
    self.heard = heard
    server = try TransportServer(
      ServerConfiguration(
        addresses: [SocketAddress(host: "127.0.0.1", port: 0)],
        loops: 1,
        limit: { _, _ in 16 << 20 }
      ),
      authority: authority,
      onEvent: { heard.tell($0) }
    )
    server.start()
    let token = try authority.issueToken(name: "bench", addresses: server.addresses)
    identity = try ClientIdentity.join(token: token.text, folder: "\(folder)/client")
  }

  /// Sets what hears of the server's events.
  func whenHeard(_ receiver: (@Sendable (TransportEvent) -> Void)?) { heard.set(receiver) }

  private func client(
    _ onEvent: @escaping @Sendable (TransportEvent) -> Void
  ) throws -> TransportClient {
    try TransportClient(
      .server(server.addresses),
      identity: identity,
      limit: { _ in 16 << 20 },
      onEvent: onEvent
    )
  }

  /// Connections one after the other, each from `connect` to the end of its farewell.
  func measureHandshakes(_ floor: TLSFloor, _ console: Console) throws {
    let count = 300
    let (left, done) = (Counter(count), Latch())
    let bytes = Mutex(Traffic())
    let relay = Relay()
    let client = try client { relay.tell($0) }
    whenHeard { [server] event in
      guard case .received(let peer, _, _, let traffic) = event else { return }
      bytes.withLock { $0 = traffic }
      server.close(peer, Goodbye(.leaving, ""))
    }
    relay.set { [weak client] event in
      switch event {
      case .connected: client?.send(kind: 20, body: [])
      case .closed: left.count() ? done.open() : client?.connect()
      default: break
      }
    }
    let time = seconds {
      client.connect()
      done.wait()
    }
    client.stop()
    whenHeard(nil)
    let rate = try floor.handshakesPerSecond()
    ReportRow(
      "mutual handshakes, one at a time, with connect and farewell",
      Double(count) / time,
      "/s",
      floor: ("OpenSSL's two ends on one thread", rate)
    ).write(to: console)
    // The first message is a record of 28 bytes.
    let moved = bytes.withLock { $0 }
    ReportRow("a handshake's bytes, client to server", Double(moved.received) - 28, "B")
      .write(to: console)
    ReportRow("a handshake's bytes, server to client", Double(moved.sent), "B").write(to: console)
  }

  /// Sixty-four bytes there and back.
  func measureEchoes(_ console: Console) throws {
    let count = 5000
    let (left, done) = (Counter(count), Latch())
    let times = Mutex<[Double]>([])
    let start = Mutex(ContinuousClock.now)
    let relay = Relay()
    let client = try client { relay.tell($0) }
    let frame = Frame(kind: 20, body: [UInt8](repeating: 7, count: 64))
    whenHeard { [server] event in
      if case .received(let peer, _, let body, _) = event {
        server.send(to: peer, Frame(kind: 33, body: body))
      }
    }
    relay.set { [weak client] event in
      switch event {
      case .received:
        let end = ContinuousClock.now
        let begun = start.withLock { begun in
          defer { begun = .now }
          return begun
        }
        times.withLock { $0.append((end - begun).inSeconds) }
        if left.count() { return done.open() }
      case .connected: start.withLock { $0 = .now }
      default: return
      }
      client?.send(frame)
    }
    let spent = processorSeconds()
    client.connect()
    done.wait()
    let used = processorSeconds() - spent
    client.stop()
    whenHeard(nil)
    let all = times.withLock { $0 }.sorted()
    let bareSpent = processorSeconds()
    let bare = try TLSFloor.bareEcho(count).sorted()
    let bareUsed = processorSeconds() - bareSpent
    ReportRow(
      "64 bytes there and back, processor time of both ends",
      used / Double(count) * 1e6,
      "us",
      floor: ("bare TCP, two threads", bareUsed / Double(count) * 1e6)
    ).write(to: console)
    ReportRow(
      "64 bytes there and back, 1 of 100",
      all[all.count / 100] * 1e6,
      "us",
      floor: ("bare TCP, two threads", bare[bare.count / 100] * 1e6)
    ).write(to: console)
    ReportRow(
      "64 bytes there and back, median",
      all[all.count / 2] * 1e6,
      "us",
      floor: ("bare TCP, two threads", bare[bare.count / 2] * 1e6)
    ).write(to: console)
    ReportRow(
      "64 bytes there and back, 99 of 100",
      all[all.count * 99 / 100] * 1e6,
      "us",
      floor: ("bare TCP, two threads", bare[bare.count * 99 / 100] * 1e6)
    ).write(to: console)
  }

  /// Messages of 4 MiB, which leave as records of 16 KiB.
  func measureStream(_ floor: TLSFloor, _ console: Console) throws {
    let (count, size) = (32, 4 << 20)
    let (left, done) = (Counter(count), Latch())
    let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
    let frame = Frame(kind: 33, body: body)
    let begun = Mutex(ContinuousClock.now)
    whenHeard { [server] event in
      guard case .connected(let peer, _, _) = event else { return }
      begun.withLock { $0 = .now }
      for _ in 0..<count { server.send(to: peer, frame) }
    }
    let client = try client { event in
      if case .received = event, left.count() { done.open() }
    }
    client.connect()
    done.wait()
    let time = (ContinuousClock.now - begun.withLock { $0 }).inSeconds
    client.stop()
    whenHeard(nil)
    ReportRow(
      "stream of 16 KiB records, server to client",
      Double(count * size) / time * 1e-6,
      "MB/s",
      floor: ("OpenSSL's two ends on one thread", try floor.megabytesPerSecond())
    ).write(to: console)
  }
}

/// Counts down; told on many threads.
final class Counter: Sendable {
  private let left: Atomic<Int>

  init(_ count: Int) { left = Atomic(count) }

  /// Counts one; whether it was the last.
  func count() -> Bool { left.subtract(1, ordering: .relaxed).newValue == 0 }
}

/// Seconds that processors have spent on this process.
func processorSeconds() -> Double {
  var usage = rusage()
  // SAFETY: the kernel fills the record.
  _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
  return seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// How long `body` takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
  try ContinuousClock().measure(body).inSeconds
}
