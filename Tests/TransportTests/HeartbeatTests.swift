// Apache-2.0.
import TestSupport
import Testing
import WireProtocol

@testable import Transport

@Suite(.timeLimit(.minutes(10)))
struct HeartbeatTests {
  @Test func `an idle connection lives as long as pings are answered`() async throws {
    let clock = ManualClock()
    let server = try LoopbackServer(time: clock.source)
    let events = EventQueue()
    let client = try server.client(try server.enrol("alice"), time: clock.source, events: events)
    client.connect()
    let peer = await server.events.peer()
    _ = await events.connected()
    for _ in 0..<20 {
      let before = server.server.traffic
      clock.advance(.seconds(30))
      client.schedule(after: .zero) {}
      // A ping of six bytes in a record of 22 more comes, its answer goes.
      await until {
        let now = server.server.traffic
        return now.received >= before.received + 28 && now.sent >= before.sent + 28
      }
      #expect(server.server.traffic.received - before.received < 60)
      // The ping may be with the server before the client has noted when it went.
      await client.settled()
    }
    server.server.send(to: peer, kind: 33, body: [5])
    #expect(await events.received().body == [5])
    client.stop()
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `a half-open connection ends though the server goes on sending`() async throws {
    let clock = ManualClock()
    let server = try LoopbackServer(time: clock.source)
    let identity = try server.enrol("bob")
    let peer = try RawPeer(server.address)
    #expect(try peer.shakeHands(identity.credentials) == .moved(1))
    let id = await server.events.peer()
    // It takes nothing and says nothing; the kernel takes everything.
    for step in 0..<9 {
      let before = server.server.traffic.sent
      server.server.send(to: id, kind: 33, body: [UInt8(step)])
      await until { server.server.traffic.sent > before }
      clock.advance(.seconds(10))
    }
    clock.advance(.seconds(5))
    server.server.send(to: id, kind: 33, body: [])
    #expect(await server.events.closed() == .silent)
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `a peer that takes nothing is ended once too much waits`() async throws {
    var limits = ConnectionLimits()
    limits.congestion = 64 << 10
    limits.mostQueued = 16 << 20
    let server = try LoopbackServer(limits: limits)
    let identity = try server.enrol("carol")
    let peer = try RawPeer(server.address)
    try peer.shakeHands(identity.credentials)
    let id = await server.events.peer()
    let frame = Frame(kind: 33, body: [UInt8](repeating: 7, count: 1 << 20))
    for _ in 0..<64 { server.server.send(to: id, frame) }
    let congested = await server.events.first { event -> Bool? in
      if case .backpressure(_, let isCongested, let bytes) = event {
        isCongested && bytes > 64 << 10
      } else {
        nil
      }
    }
    #expect(congested)
    guard case .congested(let bytes) = await server.events.closed() else {
      Issue.record("not ended for congestion")
      return
    }
    #expect(bytes > 16 << 20 && bytes < 18 << 20)
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `what waits goes out as the peer takes it, and the end of congestion is told`()
    async throws
  {
    var limits = ConnectionLimits()
    limits.congestion = 64 << 10
    let server = try LoopbackServer(limits: limits)
    let identity = try server.enrol("dora")
    let peer = try RawPeer(server.address)
    try peer.shakeHands(identity.credentials)
    let id = await server.events.peer()
    var random = TestRandom(1)
    let body = random.bytes(1 << 20)
    for _ in 0..<16 { server.server.send(to: id, Frame(kind: 33, body: body)) }
    var received = 0
    while received < 16 {
      for frame in try peer.nextFrames() {
        #expect(frame.body == body)
        received += 1
      }
    }
    let changes = await server.events.first { event -> Bool? in
      if case .backpressure(_, false, let bytes) = event { bytes <= 32 << 10 } else { nil }
    }
    #expect(changes)
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `a client comes back to a server that was away`() async throws {
    let folder = TemporaryFolder()
    let path = "\(folder.path)/authority"
    let events = EventQueue()
    let address: SocketAddress
    let client: TransportClient
    do {
      let server = try LoopbackServer(try CertificateAuthority.create(in: path), in: folder)
      address = server.address
      client = try server.client(try server.enrol("erin"), events: events)
      client.connect()
      _ = await events.connected()
      server.server.shutdown(retryAfter: .seconds(3), text: "restart")
    }
    let reason = await events.closed()
    let policy = ReconnectPolicy()
    #expect(policy.wait(failures: 0, reason: reason, random: 0) == .seconds(3))
    client.connect()
    guard case .failed(let words) = await events.closed() else {
      Issue.record("nobody listens, and yet")
      return
    }
    #expect(words.contains("refused"), "\(words)")
    let server = try LoopbackServer(
      try CertificateAuthority.open(in: path),
      in: folder,
      at: address
    )
    client.connect()
    let (_, who) = await server.events.connected()
    guard case .client("erin", _) = who else {
      Issue.record("\(who)")
      return
    }
    client.stop()
    client.stop()
    server.server.shutdown(retryAfter: nil)
    server.server.shutdown(retryAfter: nil)
  }
}
