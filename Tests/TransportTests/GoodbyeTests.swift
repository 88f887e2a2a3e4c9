// Apache-2.0.
import Codecs
import Testing

@testable import Transport

@Suite struct GoodbyeTests {
  @Test func `last words come back as they were said`() throws {
    for code in Goodbye.Code.allCases {
      for retry in [nil, .milliseconds(1), .milliseconds(113_510_399), .seconds(1_000_000)]
        as [Duration?]
      {
        let goodbye = Goodbye(code, retryAfter: retry, "später")
        #expect(try Goodbye(decoding: goodbye.encoded) == goodbye)
      }
    }
  }

  @Test func `what is too long is cut to what may be read`() throws {
    let long = Goodbye(.leaving, retryAfter: .seconds(1 << 40), String(repeating: "é", count: 400))
    #expect(long.encoded.count <= ConnectionFrame.goodbye.limit)
    let read = try Goodbye(decoding: long.encoded)
    #expect(read.retryAfter == .seconds(1_000_000))
    #expect(read.text == String(repeating: "é", count: 256))
    #expect(try Goodbye(decoding: read.encoded) == read)
    let past = Goodbye(.leaving, retryAfter: .seconds(-5), "")
    #expect(try Goodbye(decoding: past.encoded).retryAfter == nil)
  }

  @Test func `unknown codes and bytes left over are refused`() {
    #expect(throws: CodecError.self) { try Goodbye(decoding: [5, 0, 0]) }
    #expect(throws: CodecError.self) { try Goodbye(decoding: [0, 0, 0, 0]) }
    #expect(throws: CodecError.self) { try Goodbye(decoding: [0, 0]) }
  }
}
