// Apache-2.0.
import Codecs
import Testing

@Suite struct ZstdTests {
  private let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 / 100) }

  @Test func `what is longer than its frame comes back`() throws {
    let frame = try #require(Zstd.compressed(bytes))
    #expect(frame.count < bytes.count)
    #expect(try Zstd.content(frame[...], limit: 5000, field: "test") == bytes)
    #expect(Zstd.compressed([1, 2, 3]) == nil && Zstd.compressed([]) == nil)
  }

  @Test func `a content past its limit is refused before it is made`() throws {
    let frame = try #require(Zstd.compressed(bytes))
    #expect(
      throws: CodecError.outOfRange(field: "test", value: "5000 bytes", allowed: "at most 4999")
    ) {
      try Zstd.content(frame[...], limit: 4999, field: "test")
    }
  }

  @Test func `what is no frame, or half of one, is refused`() throws {
    let frame = try #require(Zstd.compressed(bytes))
    for cut in 0..<frame.count {
      #expect(throws: CodecError.self) {
        try Zstd.content(frame[..<cut], limit: 5000, field: "test")
      }
    }
    #expect(throws: CodecError.self) { try Zstd.content(bytes[...], limit: 5000, field: "test") }
  }
}
