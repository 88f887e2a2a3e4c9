// Apache-2.0.
import Testing
import WireProtocol

@Suite struct FrameTests {
  static func decoder() -> FrameDecoder { FrameDecoder { kind in kind < 10 ? 1000 : nil } }

  static let frames = [
    Frame(kind: 1, body: []), Frame(kind: 2, isCompressed: true, body: [7]),
    Frame(kind: 9, body: [UInt8](repeating: 3, count: 1000)),
  ]

  @Test(arguments: [1, 2, 5, 6, 7, 64, 5000]) func `frames come whole from pieces of any size`(
    _ size: Int
  ) throws {
    let bytes = Self.frames.flatMap(\.encoded)
    var decoder = Self.decoder()
    var found: [Frame] = []
    var start = 0
    while start < bytes.count {
      let end = min(start + size, bytes.count)
      found += try decoder.feed(bytes[start..<end])
      start = end
    }
    #expect(found == Self.frames)
    #expect(decoder.pendingBytes == 0)
  }

  @Test func `a body beyond its limit is refused by its header alone`() {
    var decoder = Self.decoder()
    #expect(throws: FrameError.tooLong(kind: 1, length: 1001, limit: 1000)) {
      try decoder.feed([1, 0, 0xE9, 3, 0, 0])
    }
    var other = Self.decoder()
    #expect(throws: FrameError.tooLong(kind: 1, length: 0xFFFF_FFFF, limit: 1000)) {
      try other.feed([1, 0, 255, 255, 255, 255])
    }
  }

  @Test func `unknown kinds and flags are refused`() {
    var decoder = Self.decoder()
    #expect(throws: FrameError.unknownKind(10)) { try decoder.feed([10, 0, 0, 0, 0, 0]) }
    var other = Self.decoder()
    #expect(throws: FrameError.unknownFlags(2)) { try other.feed([1, 2, 0, 0, 0, 0]) }
  }
}
