// Apache-2.0.
import Glibc
import Testing
import WireProtocol

@testable import Transport

/// Bytes that are not what they should be, in every state of a connection.
@Suite(.timeLimit(.minutes(10)))
struct HostileBytesTests {
  let server: LoopbackServer
  let clock: ManualClock

  init() throws {
    clock = ManualClock()
    server = try LoopbackServer(limits: ConnectionLimits(), time: clock.source)
  }

  /// Expects that a genuine client still gets through, and that nothing else is left connected.
  func expectAlive(_ name: String) async throws {
    let events = EventQueue()
    let client = try server.client(try server.enrol(name), events: events)
    client.connect()
    client.send(kind: 20, body: [])
    _ = await events.connected()
    client.send(kind: 21, body: Array(name.utf8))
    let heard = await server.events.first { event -> [UInt8]? in
      if case .received(_, 21, let body, _) = event { body } else { nil }
    }
    #expect(heard == Array(name.utf8))
    client.stop()
    await until { server.server.connectionCount == 0 }
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `random bytes for a first message`() async throws {
    for seed in 1...200 {
      var random = TestRandom(UInt64(seed))
      let peer = try RawPeer(server.address)
      var bytes = random.bytes(Int(random.next() % 300) + 9)
      // Half of them look like a TLS record at first.
      if seed % 2 == 0 {
        let length = bytes.count - 5
        bytes.replaceSubrange(
          0..<min(9, bytes.count),
          with: [22, 3, 1, 0, 0, 1, 0, 0, 0].prefix(bytes.count)
        )
        (bytes[3], bytes[4]) = (UInt8(length >> 8), UInt8(length & 255))
        (bytes[7], bytes[8]) = (UInt8((length - 4) >> 8), UInt8(truncatingIfNeeded: length - 4))
      }
      peer.sendRaw(bytes)
      _ = peer.readRawToEnd()
    }
    try await expectAlive("after-hello")
  }

  @Test func `random bytes in the middle of a handshake`() async throws {
    for seed in 1...50 {
      var random = TestRandom(UInt64(seed))
      let peer = try RawPeer(server.address)
      try peer.sendHello()
      var bytes = random.bytes(200)
      // A record of handshake, of data, or of nothing known.
      if seed % 3 != 0 {
        bytes.replaceSubrange(0..<5, with: [seed % 3 == 1 ? 22 : 23, 3, 3, 0, 195])
      }
      peer.sendRaw(bytes)
      _ = peer.readRawToEnd()
    }
    try await expectAlive("after-handshake")
  }

  @Test func `random bytes from a stranger and from a client`() async throws {
    let identity = try server.enrol("mallory")
    for seed in 1...60 {
      var random = TestRandom(UInt64(seed))
      for credentials in [Credentials.none, identity.credentials] {
        let peer = try RawPeer(server.address)
        #expect(try peer.shakeHands(credentials) == .moved(1))
        // A flag that means nothing is refused; the rest may be anything.
        peer.send([UInt8(random.next() % 32), 2] + random.bytes(Int(random.next() % 100) + 4))
        let (frames, _) = try peer.readToEnd()
        #expect(frames.goodbye?.code == .violation)
      }
    }
    try await expectAlive("after-frames")
  }

  @Test func `random bytes beneath TLS`() async throws {
    let identity = try server.enrol("mallory")
    for seed in 1...30 {
      var random = TestRandom(UInt64(seed))
      for credentials in [Credentials.none, identity.credentials] {
        let peer = try RawPeer(server.address)
        #expect(try peer.shakeHands(credentials) == .moved(1))
        peer.sendRaw([23, 3, 3, 0, 64] + random.bytes(64))
        _ = peer.readRawToEnd()
      }
    }
    try await expectAlive("after-records")
  }

  @Test func `a body beyond its limit is refused by its header`() async throws {
    let identity = try server.enrol("mallory")
    let cases: [(Credentials, [UInt8])] = [
      // Enrolment takes 2112 bytes, kinds of the program 1 MiB here.
      (.none, [6, 0, 0x41, 8, 0, 0]), (.none, [6, 0, 255, 255, 255, 255]),
      (identity.credentials, [20, 0, 1, 0, 16, 0]),
      (identity.credentials, [20, 1, 255, 255, 255, 255]),
      (identity.credentials, [1, 0, 1, 0, 0, 0]),
      // Strangers have nothing to say to the program, clients nothing to enrol.
      (.none, [20, 0, 0, 0, 0, 0]), (.none, [1, 0, 0, 0, 0, 0]),
      (identity.credentials, [6, 0, 0, 0, 0, 0]), (identity.credentials, [100, 0, 0, 0, 0, 0]),
    ]
    for (credentials, header) in cases {
      let peer = try RawPeer(server.address)
      try peer.shakeHands(credentials)
      peer.send(header)
      #expect(try peer.readToEnd().frames.goodbye?.code == .violation, "\(header)")
    }
    try await expectAlive("after-oversize")
  }

  @Test func `a compressed body that would grow beyond its limit is never unpacked`() async throws {
    let identity = try server.enrol("mallory")
    let bomb = Frame.packed(kind: 20, body: [UInt8](repeating: 0, count: 8 << 20))
    #expect(bomb.isCompressed && bomb.body.count < 4096)
    let damaged = Frame(
      kind: 20,
      isCompressed: true,
      body: Array(Frame.packed(kind: 20, body: [UInt8](repeating: 1, count: 4096)).body.dropLast())
    )
    for frame in [bomb, damaged, Frame(kind: 1, isCompressed: true, body: [])] {
      let peer = try RawPeer(server.address)
      try peer.shakeHands(identity.credentials)
      peer.send(frame)
      #expect(try peer.readToEnd().frames.goodbye?.code == .violation)
    }
    try await expectAlive("after-bomb")
  }

  @Test func `a question is answered once, and answers do not pile up`() async throws {
    let peer = try RawPeer(server.address)
    try peer.shakeHands()
    peer.send((0..<(6 * 2000)).map { $0 % 6 == 0 ? 4 : 0 })
    let (frames, _) = try peer.readToEnd()
    #expect(frames.map(\.kind) == [ConnectionFrame.authority, .goodbye].map(\.rawValue))
    peer.close()
    // A client's pings are not worth an answer each either.
    let identity = try server.enrol("mallory")
    let before = server.server.traffic.sent
    let client = try RawPeer(server.address)
    try client.shakeHands(identity.credentials)
    client.send((0..<(6 * 2000)).map { $0 % 6 == 0 ? 1 : 0 } + [3, 2, 0, 0, 0, 0])
    _ = try client.readToEnd()
    client.close()
    await until { server.server.connectionCount == 0 }
    #expect(server.server.traffic.sent - before < 8000)
    try await expectAlive("after-questions")
  }

  @Test func `slow strangers are ended at their deadline, however they spend it`() async throws {
    let silent = try RawPeer(server.address)
    let drip = try RawPeer(server.address)
    let hello = try RawPeer(server.address)
    let stranger = try RawPeer(server.address)
    try hello.sendHello()
    #expect(try stranger.shakeHands() == .moved(1))
    await until { server.server.connectionCount == 4 }
    // A byte a second of what could become a genuine first message.
    let (first, enrol): ([UInt8], [UInt8]) = (
      [22, 3, 1, 1, 0, 1, 0, 0], [6, 0, 99, 0, 0, 0, 1, 2]
    )
    for index in 0..<8 {
      drip.sendRaw([first[index]])
      stranger.send([enrol[index]])
      clock.advance(.seconds(1))
      wake()
    }
    #expect(server.server.connectionCount == 4)
    // The server may have seen them some steps later than they came.
    await until {
      clock.advance(.seconds(1))
      wake()
      return server.server.connectionCount == 0
    }
    for peer in [silent, drip, hello] { _ = peer.readRawToEnd() }
    #expect(try stranger.readToEnd().frames.isEmpty)
    try await expectAlive("after-slow")
  }

  /// Has the server look at its clock.
  func wake() { server.server.send(to: PeerID(number: 1 << 40, loop: 0), kind: 33, body: []) }
}
