// Apache-2.0.
import TestSupport
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(10)))
struct LoopbackTests {
  @Test func `a client enrols, connects and both ends hear one another`() async throws {
    let server = try LoopbackServer()
    let identity = try server.enrol("alice")
    #expect(identity.name == "alice")
    let events = EventQueue()
    let client = try server.client(identity, events: events)
    client.connect()
    let (peer, who) = await server.events.connected()
    #expect(who == .client(name: "alice", serial: identity.certificate.serial))
    #expect(await events.connected().1 == .server)
    client.send(kind: 20, body: [1, 2, 3])
    let heard = await server.events.received()
    #expect(heard == (20, [1, 2, 3]))
    let large = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
    server.server.send(to: peer, kind: 33, body: large)
    let answer = await events.received()
    #expect(answer.kind == 33)
    #expect(answer.body == large)
    client.stop()
    #expect(
      await server.events.closed() == .goodbye(Goodbye(.leaving, "the client is stopping"))
    )
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `a stopping server tells its clients when to come back`() async throws {
    let server = try LoopbackServer(loops: 2)
    let events = EventQueue()
    let client = try server.client(try server.enrol("bob"), events: events)
    client.connect()
    _ = await events.connected()
    server.server.shutdown(retryAfter: .seconds(7), text: "restart")
    let reason = await events.closed()
    #expect(reason == .goodbye(Goodbye(.leaving, retryAfter: .seconds(7), "restart")))
    client.stop()
  }

  @Test func `the administration socket speaks the same frames`() async throws {
    let server = try LoopbackServer()
    let events = EventQueue()
    let tool = try TransportClient(
      .adminSocket("\(server.folder.path)/admin"),
      identity: nil,
      limit: { _ in 1 << 20 },
      onEvent: events.handler
    )
    tool.connect()
    let (peer, who) = await server.events.connected()
    #expect(who == .administrator)
    tool.send(kind: 48, body: Array("{}".utf8))
    let heard = await server.events.received()
    #expect(heard == (48, Array("{}".utf8)))
    server.server.send(to: peer, kind: 49, body: Array("[]".utf8))
    let answer = await events.received()
    #expect(answer == (49, Array("[]".utf8)))
    tool.stop()
    server.server.shutdown(retryAfter: nil)
  }
}
