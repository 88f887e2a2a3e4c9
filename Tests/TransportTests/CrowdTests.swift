// Apache-2.0.
import Glibc
import TestSupport
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(10)))
struct CrowdTests {
  @Test func `silent strangers keep no client out`() async throws {
    // A clock that stands still: nobody goes because the machine is slow.
    let server = try LoopbackServer(mostStrangers: 8, time: ManualClock().source)
    let identity = try server.enrol("alice")
    var crowd: [RawPeer] = []
    for _ in 0..<50 { crowd.append(try RawPeer(server.address)) }
    let events = EventQueue()
    let client = try server.client(identity, events: events)
    client.connect()
    _ = await events.connected()
    await until { server.server.connectionCount <= 9 }
    // More of them do not push out who is recognised.
    for _ in 0..<50 { crowd.append(try RawPeer(server.address)) }
    client.send(kind: 20, body: [3])
    #expect(await server.events.received().body == [3])
    // Those that came first had to go.
    #expect(crowd[0].readRawToEnd().isEmpty)
    client.stop()
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `beyond the most connections there are none`() async throws {
    let server = try LoopbackServer(time: ManualClock().source, mostConnections: 3)
    var crowd: [RawPeer] = []
    for _ in 0..<6 { crowd.append(try RawPeer(server.address)) }
    await until { server.server.connectionCount == 3 }
    #expect(crowd[5].readRawToEnd().isEmpty)
    crowd = []
    await until { server.server.connectionCount == 0 }
    _ = try server.enrol("late")
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `bytes one at a time, both ways, make the same conversation`() async throws {
    let server = try LoopbackServer()
    let identity = try server.enrol("alice")
    let relay = try OneByteRelay(to: server.address)
    let events = EventQueue()
    let client = try TransportClient(
      .server([relay.address]),
      identity: identity,
      limit: { _ in 1 << 20 },
      onEvent: events.handler
    )
    client.connect()
    let peer = await server.events.peer()
    var random = TestRandom(5)
    let body = random.bytes(3000)
    client.send(kind: 20, body: body)
    #expect(await server.events.received().body == body)
    server.server.send(to: peer, kind: 33, body: body)
    #expect(await events.received().body == body)
    client.stop()
    server.server.shutdown(retryAfter: nil)
    relay.stop()
  }

  @Test func `the administration socket is of its owner alone, and there is one server on it`()
    async throws
  {
    let server = try LoopbackServer()
    let path = "\(server.folder.path)/admin"
    var found = stat()
    #expect(unsafe stat(path, &found) == 0)
    #expect(found.st_mode & 0o777 == 0o600)
    #expect(throws: TransportError.file(path: path, reason: "a server is running already")) {
      _ = try AdminSocket.listen(at: path)
    }
    server.server.shutdown(retryAfter: nil)
    #expect(unsafe stat(path, &found) != 0, "the name is gone with the server")
    // One that a killed server left behind is taken over.
    let left = Descriptor(try AdminSocket.listen(at: path).release())
    _ = consume left
    #expect(unsafe stat(path, &found) == 0)
    let next = Descriptor(try AdminSocket.listen(at: path).release())
    _ = consume next
    #expect(throws: TransportError.self) {
      _ = try AdminSocket.listen(at: "/tmp/" + String(repeating: "x", count: 110))
    }
  }

  @Test func `the administration socket hears no frames of clients and no nonsense`() async throws {
    let server = try LoopbackServer()
    let address = try ResolvedAddress.unix("\(server.folder.path)/admin")
    for bytes in [[6, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [22, 3, 1, 0, 0, 1]] as [[UInt8]] {
      let peer = try RawPeer(address)
      peer.sendRaw(bytes)
      let answer = peer.readRawToEnd()
      #expect(answer.first == ConnectionFrame.goodbye.rawValue)
      #expect(answer.dropFirst(6).first == Goodbye.Code.violation.rawValue)
    }
    await until { server.server.connectionCount == 0 }
    server.server.shutdown(retryAfter: nil)
  }
}

/// Carries bytes between a client and a server, a byte a segment.
final class OneByteRelay: Sendable {
  let address: SocketAddress
  private let listener: Int32
  private let loops: [EventLoop]

  init(to target: SocketAddress) throws {
    let any = try SocketAddress("127.0.0.1:0").resolved(forListening: true)[0]
    let socket = try Descriptor.listening(at: any, named: "relay")
    guard let found = socket.address(local: true) else {
      throw TransportError.badAddress("relay")
    }
    address = found
    let listener = socket.release()
    self.listener = listener
    // Three threads that block: one a direction, one to set up.
    let loops = [try EventLoop(), try EventLoop(), try EventLoop()]
    self.loops = loops
    loops[0].submit {
      Self.wait(listener)
      let client = accept(listener, nil, nil)
      guard client >= 0, let resolved = try? target.resolved(forListening: false)[0],
        let made = try? Descriptor.connecting(to: resolved, named: "relay")
      else { return }
      let server = made.release()
      loops[1].submit { Self.carry(from: client, to: server) }
      loops[2].submit { Self.carry(from: server, to: client) }
    }
  }

  private static func wait(_ socket: Int32) {
    var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    // SAFETY: one entry, written by the kernel.
    _ = unsafe poll(&entry, 1, 30_000)
  }

  private static func carry(from: Int32, to: Int32) {
    var on: Int32 = 1
    // SAFETY: the kernel reads four bytes.
    _ = unsafe setsockopt(to, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    var byte: UInt8 = 0
    while true {
      // SAFETY: one byte each way.
      let count = unsafe recv(from, &byte, 1, 0)
      if count < 0, errno == EAGAIN {
        wait(from)
      } else if count <= 0 {
        break
      } else if unsafe send(to, &byte, 1, Int32(MSG_NOSIGNAL)) < 0, errno != EAGAIN {
        break
      }
    }
    _ = shutdown(to, Int32(SHUT_WR))
  }

  func stop() {
    for loop in loops { loop.stop() }
    _ = close(listener)
  }
}
