// Apache-2.0.
import Glibc
import Telemetry
import TestSupport
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(10)))
struct RevocationTests {
  @Test func `a revocation closes the live connection and keeps the client out`() async throws {
    let server = try LoopbackServer(loops: 2)
    let (alice, bob) = (EventQueue(), EventQueue())
    let revoked = try server.client(try server.enrol("alice"), events: alice)
    let other = try server.client(try server.enrol("bob"), events: bob)
    for (client, events) in [(revoked, alice), (other, bob)] {
      client.connect()
      _ = await events.connected()
    }
    #expect(try server.server.revoke("alice"))
    let words = Goodbye(.refused, "the certificate of alice is revoked")
    #expect(await alice.closed() == .goodbye(words))
    #expect(words.isFinal)
    revoked.connect()
    #expect(await alice.closed() == .goodbye(words))
    // The others have noticed nothing.
    other.send(kind: 20, body: [1])
    #expect(await server.events.received().body == [1])
    #expect(server.authority.list().map(\.standing) == [.revoked, .enrolled])
    revoked.stop()
    other.stop()
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `clients that connect while they are revoked do not slip in`() async throws {
    let server = try LoopbackServer(loops: 2)
    for round in 0..<10 {
      let name = "racer\(round)"
      let events = EventQueue()
      let client = try server.client(try server.enrol(name), events: events)
      client.connect()
      if round % 2 == 1 { _ = await events.connected() }
      #expect(try server.server.revoke(name))
      let reason = await events.closed()
      #expect(reason == .goodbye(Goodbye(.refused, "the certificate of \(name) is revoked")))
      client.stop()
    }
    await until { server.server.connectionCount == 0 }
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `a client that connects a second time takes the place of its first connection`()
    async throws
  {
    let server = try LoopbackServer(loops: 2)
    let identity = try server.enrol("carol")
    let (first, second) = (EventQueue(), EventQueue())
    let old = try server.client(identity, events: first)
    old.connect()
    _ = await first.connected()
    let new = try server.client(identity, events: second)
    new.connect()
    _ = await second.connected()
    #expect(
      await first.closed() == .goodbye(Goodbye(.replaced, "carol has connected anew"))
    )
    new.send(kind: 20, body: [9])
    #expect(await server.events.received().body == [9])
    await until { server.server.connectionCount == 1 }
    old.stop()
    new.stop()
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `the server's own certificate is renewed while it runs, for new connections`()
    async throws
  {
    // OpenSSL goes by the real clock, by which both certificates count.
    let past = Duration.seconds((5 * 365 - 60) * 86_400)
    let wall = ManualClock(TimeSource.wall.now - past)
    let clock = ManualClock()
    let server = try LoopbackServer(time: clock.source, wall: wall.source)
    #expect(try server.authority.renewServer() == nil)
    let first = try #require(server.authority.serverCredentials.own?.certificate)
    func shown() throws -> String? {
      let peer = try RawPeer(server.address)
      try peer.shakeHands()
      return peer.shownSerial
    }
    #expect(try shown() == first.serial)
    wall.advance(past)
    #expect(try shown() == first.serial)
    clock.advance(TransportServer.certificateWatch)
    // Whoever connects wakes the loop, whose timer is due.
    _ = try shown()
    await until { server.authority.serverCredentials.own?.certificate.serial != first.serial }
    let next = try #require(server.authority.serverCredentials.own?.certificate)
    #expect(try shown() == next.serial)
    #expect(next.validUntil > first.validUntil)
    let kept = try DurableFile.text("\(server.folder.path)/authority/server.crt")
    #expect(try Certificate(pem: kept).serial == next.serial)
    // Asked to look again, it shows what lies there: nothing new, then a new one for one that is gone.
    server.server.reloadCertificate()
    #expect(try shown() == next.serial)
    #expect(unsafe unlink("\(server.folder.path)/authority/server.crt") == 0)
    server.server.reloadCertificate()
    await until { server.authority.serverCredentials.own?.certificate.serial != next.serial }
    await until { (try? shown()) == server.authority.serverCredentials.own?.certificate.serial }
    let events = EventQueue()
    let client = try server.client(try server.enrol("erin"), events: events)
    client.connect()
    _ = await events.connected()
    client.stop()
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `a certificate is renewed over the connection and counts at the next one`()
    async throws
  {
    let wall = ManualClock(TimeSource.wall.now - .seconds(300 * 86_400))
    let server = try LoopbackServer(wall: wall.source)
    let token = try server.authority.issueToken(name: "dora", addresses: [server.address])
    let folder = "\(server.folder.path)/dora"
    let then = wall.source.now
    let identity = try ClientIdentity.join(
      token: token.text,
      folder: folder,
      wall: TimeSource { then }
    )
    #expect(identity.needsRenewal(at: TimeSource.wall.now))
    wall.advance(.seconds(300 * 86_400))
    let events = EventQueue()
    let (renewals, told) = AsyncStream<ClientIdentity>.makeStream()
    let client = try server.client(identity, onRenewed: { told.yield($0) }, events: events)
    client.connect()
    var next: ClientIdentity?
    for await renewed in renewals {
      next = renewed
      break
    }
    let renewed = try #require(next)
    #expect(renewed.certificate.serial != identity.certificate.serial)
    #expect(renewed.certificate.validUntil > identity.certificate.validUntil)
    try renewed.save(in: folder)
    client.close()
    _ = await events.closed()
    client.connect()
    let who = PeerIdentity.client(name: "dora", serial: renewed.certificate.serial)
    let found = await server.events.first { event -> PeerIdentity? in
      if case .connected(_, who, _) = event { who } else { nil }
    }
    #expect(found == who)
    #expect(try ClientIdentity(folder: folder).certificate.serial == renewed.certificate.serial)
    client.stop()
    server.server.shutdown(retryAfter: nil)
  }
}
