// Apache-2.0.
import Codecs
import Testing
import WireProtocol

@testable import Transport

/// Both halves of a transfer as values, with a disk and a wire that the test plays.
@Suite struct ChunkMachineTests {
  /// A receiver with a store in memory; the disk answers when the test says so.
  struct Reader {
    var receiver = ChunkReceiver()
    /// What came of blocks before, by digest.
    var parts: [Digest: [UInt8]] = [:]
    var open: (digest: Digest, bytes: [UInt8])?
    var bodies: [[UInt8]] = []
    /// Bytes to the sender.
    var requests: [ChunkPlace] = []
    var taken: [UInt32] = []
    /// Work of the disk that is not done yet, and the step it is for.
    var disk: [(action: ChunkReceiver.Action, step: [Int]?)] = []
    var chunksHeld = 0

    mutating func perform(_ actions: [ChunkReceiver.Action]) {
      for action in actions {
        switch action {
        case .request(let place): requests.append(place)
        case .take(let number): taken.append(number)
        case .release:
          if let open { parts[open.digest] = open.bytes }
          open = nil
          disk = []
          chunksHeld = 0
        case .write:
          chunksHeld += 1
          disk.append((action, receiver.step))
        default: disk.append((action, receiver.step))
        }
      }
    }

    /// One piece of work of the disk.
    mutating func work() {
      guard !disk.isEmpty else { return }
      let (action, step) = disk.removeFirst()
      // What was asked for a message that is withdrawn since.
      guard step == receiver.step else { return }
      switch action {
      case .begin(let digest, _):
        open = (digest, parts[digest] ?? [])
        perform(receiver.opened(kept: open?.bytes.count ?? 0))
      case .write(let bytes):
        chunksHeld -= 1
        open?.bytes += bytes
        perform(receiver.written(bytes.count))
      case .finish:
        if let open { parts[open.digest] = open.bytes }
        open = nil
        perform(receiver.finished())
      case .assemble(let pieces):
        bodies.append(
          pieces.flatMap { piece in
            switch piece {
            case .bytes(let bytes): bytes
            case .blob(let digest, _): parts[digest] ?? []
            }
          }
        )
        perform(receiver.assembled())
      default: break
      }
    }
  }

  @Test(arguments: 1...40 as ClosedRange<UInt64>)
  func `whatever the order of disk and wire, what is not withdrawn comes whole`(seed: UInt64) throws
  {
    var random = TestRandom(seed)
    var sender = ChunkSender()
    var reader = Reader()
    var expected: [UInt32: [UInt8]] = [:]
    /// Frames on their way, in order.
    enum Sent { case announce(Announcement), chunk([UInt8]), withdraw(UInt32) }
    var line: [Sent] = []
    var messages = 0
    while true {
      switch random.next() % 8 {
      case 0 where messages < 6:
        messages += 1
        let count = Int(random.next() % 3)
        var pieces: [MessagePiece] = [.bytes(random.bytes(Int(random.next() % 30)))]
        for _ in 0..<count {
          pieces.append(.blob(Blob(random.bytes(Int(random.next() % 400_000)))))
        }
        // Kinds differ, or the later message would withdraw the earlier one.
        let kind = UInt8(20 + messages % 2)
        guard let (made, withdrawn) = sender.announce(kind, pieces) else { break }
        for number in withdrawn {
          expected[number] = nil
          line.append(.withdraw(number))
        }
        expected[made.number] = pieces.flatMap(\.bytes)
        line.append(.announce(made))
      case 1, 2, 3:
        if !line.isEmpty {
          switch line.removeFirst() {
          case .announce(let announcement):
            reader.perform(try reader.receiver.announced(announcement, limit: 1 << 30))
          case .chunk(let body): reader.perform(try reader.receiver.chunk(body))
          case .withdraw(let number): reader.perform(reader.receiver.withdrawn(number))
          }
        }
      case 4, 5: reader.work()
      default:
        if !reader.requests.isEmpty {
          let place = reader.requests.removeFirst()
          if let bytes = try sender.chunk(place) { line.append(.chunk(place.head + bytes)) }
        }
        for number in reader.taken { sender.taken(number) }
        reader.taken = []
      }
      #expect(reader.chunksHeld <= ChunkReceiver.window, "what is not written is bounded")
      if messages == 6, line.isEmpty, reader.requests.isEmpty, reader.disk.isEmpty { break }
    }
    for number in reader.taken { sender.taken(number) }
    #expect(sender.isEmpty, "everything is taken or withdrawn")
    for body in expected.values { #expect(reader.bodies.contains(body)) }
  }

  @Test func `many pieces become few`() throws {
    var sender = ChunkSender()
    let pieces = (0..<200).map { MessagePiece.bytes([UInt8($0)]) }
    let announced = sender.announce(18, pieces)
    let (announcement, _) = try #require(announced)
    #expect(announcement.pieces.count == 1 && announcement.length == 200)
    let whole = Announcement(number: 1, kind: 1, pieces: announcement.pieces)
    #expect(try Announcement(decoding: whole.encoded) == whole)
  }

  @Test func `an announcement as long as one can be is within its limit`() throws {
    let bytes = [UInt8](repeating: 1, count: Announcement.longestBytes)
    let longest = Announcement(
      number: .max,
      kind: 255,
      pieces: Array(repeating: .bytes(bytes), count: Announcement.mostPieces)
    )
    #expect(longest.encoded.count <= Announcement.limit)
    #expect(try Announcement(decoding: longest.encoded) == longest)
    let place = ChunkPlace(
      number: .max,
      piece: Announcement.mostPieces - 1,
      offset: Announcement.longestBlob,
      count: ChunkPlace.longest
    )
    #expect(place.head.count <= ChunkPlace.headBytes)
    #expect(place.encoded.count <= ConnectionFrame.request.limit)
  }
}
