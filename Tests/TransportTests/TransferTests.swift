// Apache-2.0.
import Codecs
import Glibc
import TestSupport
import Testing
import WireProtocol

@testable import Transport

/// Messages in chunks over loopback TLS, between ends that mean well and ends that do not.
@Suite(.timeLimit(.minutes(10)))
struct TransferTests {
  static let kind: UInt8 = 18
  let clock = ManualClock()
  let server: LoopbackServer

  init() throws {
    server = try LoopbackServer(
      parts: PartStore.Limits(mostOfOwner: 2, bytes: 8 << 20, lease: .seconds(600)),
      partsClock: clock.source
    )
  }

  static func bytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var random = TestRandom(seed)
    return random.bytes(count)
  }

  /// Names in the server's folder of blocks.
  func files(_ suffix: String) -> [String] {
    PartFile.entries(of: "\(server.folder.path)/blobs").map(\.name)
      .filter { $0.hasSuffix(suffix) }.sorted()
  }

  func peer(_ identity: ClientIdentity) throws -> RawPeer {
    let peer = try RawPeer(server.address)
    #expect(try peer.shakeHands(identity.credentials) == .moved(1))
    return peer
  }

  static func announcement(_ pieces: [Announcement.Piece], number: UInt32 = 1) -> Frame {
    Frame(
      kind: ConnectionFrame.announce.rawValue,
      body: Announcement(number: number, kind: kind, pieces: pieces).encoded
    )
  }

  static func blob(_ bytes: [UInt8]) -> Announcement.Piece {
    .blob(Digest.sha256(of: bytes), length: bytes.count)
  }

  static func chunk(_ place: ChunkPlace, of bytes: [UInt8]) -> Frame {
    Frame(
      kind: ConnectionFrame.chunk.rawValue,
      body: place.head + bytes[place.offset..<place.offset + place.count]
    )
  }

  /// The requests that come until there are `count` of them.
  static func requests(_ count: Int, from peer: RawPeer) throws -> [ChunkPlace] {
    var found: [ChunkPlace] = []
    while found.count < count {
      let frames = try peer.nextFrames()
      if frames.isEmpty { break }
      for frame in frames where frame.kind == ConnectionFrame.request.rawValue {
        found.append(try ChunkPlace(decoding: frame.body))
      }
    }
    return found
  }

  @Test func `a message in chunks comes whole, both ways and beside others`() async throws {
    let events = EventQueue()
    let client = try server.client(try server.enrol("alice"), events: events)
    client.connect()
    let peer = await server.events.peer()
    _ = await events.connected()
    let up = Blob(Self.bytes(3_000_001))
    let tail = Self.bytes(70_000, seed: 2)
    client.send(kind: Self.kind, pieces: [.bytes([1, 2, 3]), .blob(up), .bytes(tail)])
    client.send(kind: 40, body: [9])
    let head = await server.events.first { event -> [UInt8]? in
      if case .announced(peer, Self.kind, let head) = event { head } else { nil }
    }
    #expect(head == [1, 2, 3])
    let first = await server.events.received()
    #expect(first.kind == 40, "a short message need not wait for a long one")
    let long = await server.events.received()
    #expect(long.kind == Self.kind)
    #expect(long.body == [1, 2, 3] + up.bytes + tail)
    #expect(files(".whole").count == 2)

    // The same block twice in one message, and an empty one.
    let down = Blob(Self.bytes(700_000, seed: 3))
    server.server.send(
      to: peer,
      kind: 34,
      pieces: [.blob(down), .blob(Blob([])), .blob(down)]
    )
    let back = await events.received()
    #expect(back.kind == 34 && back.body == down.bytes + down.bytes)
    client.stop()
    server.server.shutdown(retryAfter: nil)
    #expect(PartFile.entries(of: "\(server.folder.path)/alice-parts").isEmpty)
  }

  @Test func `after a cut the rest alone is asked for, whatever the cut`() async throws {
    let identity = try server.enrol("bob")
    let bytes = Self.bytes(ChunkPlace.longest * 20 + 77)
    var sent = 0
    for cut in [1, 7, 12] {
      let peer = try peer(identity)
      peer.send(Self.announcement([.bytes([7]), Self.blob(bytes)]))
      var waiting = try Self.requests(1, from: peer)
      #expect(waiting.first?.offset == sent)
      for _ in 0..<cut {
        if waiting.isEmpty { waiting = try Self.requests(1, from: peer) }
        peer.send(Self.chunk(waiting.removeFirst(), of: bytes))
      }
      sent += cut * ChunkPlace.longest
      // The cut: what was sent is written before the end of the connection is told.
      let file = "\(server.folder.path)/blobs/\(try #require(files(".part").first))"
      await until { PartFileSize.of(file) == sent }
      peer.close()
      _ = await server.events.closed()
    }
    let events = EventQueue()
    let client = try server.client(identity, events: events)
    client.connect()
    _ = await events.connected()
    let before = server.server.traffic.received
    client.send(kind: Self.kind, pieces: [.bytes([7]), .blob(Blob(bytes))])
    let whole = await server.events.received()
    #expect(whole.body == [7] + bytes)
    #expect(server.server.traffic.received - before < UInt64(bytes.count - sent) + 20_000)
    // And once more, as after an answer that was lost: nothing is asked for.
    let again = server.server.traffic.received
    await client.settled()
    client.close()
    _ = await events.closed()
    client.connect()
    _ = await events.connected()
    client.send(kind: Self.kind, pieces: [.bytes([7]), .blob(Blob(bytes))])
    #expect(await server.events.received().body == [7] + bytes)
    #expect(server.server.traffic.received - again < 10_000)
    client.stop()
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `a block that is not what its digest says ends the connection and is gone`()
    async throws
  {
    let peer = try peer(try server.enrol("carol"))
    let bytes = Self.bytes(1000)
    peer.send(Self.announcement([.blob(Digest.sha256(of: [0]), length: bytes.count)]))
    for place in try Self.requests(1, from: peer) { peer.send(Self.chunk(place, of: bytes)) }
    #expect(try peer.readToEnd().frames.goodbye?.code == .violation)
    #expect(files(".part").isEmpty && files(".whole").isEmpty)
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `what was not asked for, or is not there to be asked for, ends the connection`()
    async throws
  {
    let identity = try server.enrol("dave")
    let bytes = Self.bytes(1000)
    let good = ChunkPlace(number: 1, piece: 0, offset: 0, count: 1000)
    let chunks: [Frame] = [
      // Another number, piece or offset; too short, too long.
      Self.chunk(ChunkPlace(number: 2, piece: 0, offset: 0, count: 1000), of: bytes),
      Self.chunk(ChunkPlace(number: 1, piece: 1, offset: 0, count: 1000), of: bytes),
      Self.chunk(ChunkPlace(number: 1, piece: 0, offset: 1, count: 999), of: bytes),
      Self.chunk(ChunkPlace(number: 1, piece: 0, offset: 0, count: 999), of: bytes),
      Frame(kind: ConnectionFrame.chunk.rawValue, body: good.head + bytes + [0]),
    ]
    for chunk in chunks {
      let peer = try peer(identity)
      peer.send(Self.announcement([Self.blob(bytes)]))
      #expect(try Self.requests(1, from: peer) == [good])
      peer.send(chunk)
      #expect(try peer.readToEnd().frames.goodbye?.code == .violation)
    }
    // Announcements and requests that nothing allows.
    let huge = LoopbackServer.longestTransfer + 1
    let first: [Frame] = [
      Self.announcement([.blob(Digest.sha256(of: [0]), length: huge)]),
      Frame(
        kind: ConnectionFrame.announce.rawValue,
        body: Announcement(number: 1, kind: 200, pieces: []).encoded
      ),
      Frame(kind: ConnectionFrame.announce.rawValue, body: [1]),
      Frame(kind: ConnectionFrame.request.rawValue, body: good.encoded),
      Frame(kind: ConnectionFrame.taken.rawValue, body: [1, 1]),
      Frame(kind: ConnectionFrame.chunk.rawValue, body: good.head + bytes),
    ]
    for frame in first {
      let peer = try peer(identity)
      peer.send(frame)
      #expect(try peer.readToEnd().frames.goodbye?.code == .violation, "\(frame.kind)")
    }
    let many = try peer(identity)
    for number in 1...UInt32(ChunkReceiver.mostWaiting + 1) {
      many.send(Self.announcement([Self.blob(bytes)], number: number))
    }
    #expect(try many.readToEnd().frames.goodbye?.code == .violation)
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `requests for bytes that are not there end the connection`() async throws {
    let identity = try server.enrol("erin")
    for place in [
      ChunkPlace(number: 1, piece: 0, offset: 900, count: 101),
      ChunkPlace(number: 1, piece: 0, offset: 1 << 40, count: 1),
      ChunkPlace(number: 1, piece: 1, offset: 0, count: 1),
      ChunkPlace(number: 2, piece: 0, offset: 0, count: 1),
    ] {
      let peer = try peer(identity)
      let id = await server.events.peer()
      server.server.send(to: id, kind: 34, pieces: [.blob(Blob(Self.bytes(1000))), .bytes([1])])
      peer.send(Frame(kind: ConnectionFrame.request.rawValue, body: place.encoded))
      #expect(try peer.readToEnd().frames.goodbye?.code == .violation, "\(place)")
    }
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `a client keeps two unfinished blocks at most, and none for ever`() async throws {
    let identity = try server.enrol("frank")
    for seed in 1...5 as ClosedRange<UInt64> {
      let bytes = Self.bytes(ChunkPlace.longest * 3, seed: seed)
      let peer = try peer(identity)
      peer.send(Self.announcement([Self.blob(bytes)]))
      let place = try #require(try Self.requests(1, from: peer).first)
      peer.send(Self.chunk(place, of: bytes))
      let name = "\(Digest.sha256(of: bytes))"
      await until {
        files(".part").contains { name == $0.prefix(64) }
          && PartFileSize.of(
            "\(server.folder.path)/blobs/\(files(".part").first { name == $0.prefix(64) } ?? "")"
          )
            == ChunkPlace.longest
      }
      peer.close()
      _ = await server.events.closed()
      #expect(files(".part").count <= 2)
    }
    // The clock of the server is far beyond that of the files: whatever comes next finds them stale.
    clock.advance(.seconds(4_000_000_000))
    let peer = try peer(identity)
    let bytes = Self.bytes(100)
    peer.send(Self.announcement([Self.blob(bytes)]))
    let place = try #require(try Self.requests(1, from: peer).first)
    #expect(files(".part").count == 1)
    peer.send(Self.chunk(place, of: bytes))
    #expect(await server.events.received().body == bytes)
    // More than the folder may hold: the client is told to come later, and knows no more than that.
    peer.send(Self.announcement([.blob(Digest.sha256(of: [9]), length: 9 << 20)], number: 2))
    let goodbye = try peer.readToEnd().frames.goodbye
    #expect(goodbye?.code == .overloaded && goodbye?.retryAfter != nil)
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `a later message withdraws one of its kind that is not through`() async throws {
    let peer = try peer(try server.enrol("grace"))
    let id = await server.events.peer()
    let old = Blob(Self.bytes(ChunkPlace.longest * 30))
    let new = Blob(Self.bytes(1000, seed: 2))
    server.server.send(to: id, kind: 34, pieces: [.blob(old)])
    // The same one again is no second one.
    server.server.send(to: id, kind: 34, pieces: [.blob(old)])
    server.server.send(to: id, kind: 34, pieces: [.blob(new)])
    server.server.withdraw(kind: 34, from: id)
    server.server.close(id, Goodbye(.leaving, "done"))
    let frames = try peer.readToEnd().frames
    let kinds = frames.map(\.kind)
    #expect(kinds == [9, 13, 9, 13, 3])
    #expect(frames[1].body == [1] && frames[3].body == [2])
    server.server.shutdown(retryAfter: nil)
  }
}

/// The size of a file as it is at the moment.
enum PartFileSize {
  static func of(_ path: String) -> Int? {
    var status = stat()
    return unsafe stat(path, &status) == 0 ? Int(status.st_size) : nil
  }
}
