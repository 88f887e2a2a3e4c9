// Apache-2.0.
import Codecs
import Testing

@testable import Transport

@Suite struct TokenTests {
  static func token(_ addresses: [String] = ["[::1]:7070", "fed.example:9"]) throws
    -> EnrolmentToken
  {
    EnrolmentToken(
      expiry: .seconds(1_900_000_000),
      secret: Array(1...16),
      authority: Digest.sha256(of: [1]),
      name: "alice-2.box",
      addresses: try addresses.map { try SocketAddress($0) }
    )
  }

  @Test func `a token is one word and reads back`() throws {
    let token = try Self.token()
    #expect(token.text.hasPrefix("samara-"))
    #expect(token.text.utf8.allSatisfy { $0 > 32 && $0 < 127 })
    #expect(try EnrolmentToken(token.text) == token)
  }

  @Test func `a letter changed, lost or added anywhere is noticed`() throws {
    let letters = Array(try Self.token().text.utf8)
    for position in letters.indices {
      var changed = letters
      changed[position] = changed[position] == 0x41 ? 0x42 : 0x41
      var lost = letters
      lost.remove(at: position)
      for damaged in [changed, lost, Array(letters[..<position])] {
        #expect(throws: TransportError.self) {
          try EnrolmentToken(String(decoding: damaged, as: UTF8.self))
        }
      }
    }
    #expect(throws: TransportError.self) {
      try EnrolmentToken(String(decoding: letters, as: UTF8.self) + "A")
    }
    #expect(throws: TransportError.self) {
      try EnrolmentToken("samara-" + String(repeating: "A", count: 5000))
    }
  }

  @Test func `bytes as letters and back`() {
    var random = TestRandom(3)
    for count in 0..<70 {
      let bytes = random.bytes(count)
      #expect(TextCode.bytes(base64: TextCode.base64(bytes)) == bytes)
    }
    #expect(TextCode.base64([0xFB, 0xFF]) == "-_8")
    #expect(TextCode.bytes(base64: "-_9") == nil, "bits behind the last byte")
    #expect(TextCode.bytes(base64: "A") == nil)
    #expect(TextCode.bytes(base64: "AA=") == nil)
  }

  @Test func `addresses`() throws {
    #expect(try SocketAddress("[::1]:80") == SocketAddress(host: "::1", port: 80))
    #expect(try SocketAddress("a.b:0").description == "a.b:0")
    for text in [
      "", ":", "a", "a:", ":1", "a:65536", "a:-1", "::1:80", "[]:1", "[[a]]:1", "a b:1", "a\u{0}:1",
    ] {
      #expect(throws: TransportError.badAddress(text), "\(text)") { try SocketAddress(text) }
    }
  }
}
