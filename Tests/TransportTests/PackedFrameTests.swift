// Apache-2.0.
import Testing
import WireProtocol

@Suite struct PackedFrameTests {
  private static func random(_ count: Int) -> [UInt8] {
    var state: UInt64 = 7
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(truncatingIfNeeded: state >> 33)
    }
  }

  @Test(arguments: [2048, 5000, 100_000])
  func `what looks compressed already travels as it is`(count: Int) throws {
    let body = Self.random(count)
    let frame = Frame.packed(kind: 20, body: body)
    #expect(!frame.isCompressed && frame.body == body)
    #expect(try frame.content(limit: count) == body)
  }

  @Test(arguments: [256, 2048, 5000, 100_000])
  func `texts and sparse numbers are compressed`(count: Int) throws {
    let text = (0..<count).map { Array("a few words of English, again and again; ".utf8)[$0 % 41] }
    // Every fourth byte is random, as in small integers of 32 bits.
    let noise = Self.random(count)
    let numbers = (0..<count).map { $0 % 4 == 0 ? noise[$0] : 0 }
    for body in [text, numbers] {
      let frame = Frame.packed(kind: 20, body: body)
      #expect(frame.isCompressed && frame.body.count < 3 * count / 4)
      #expect(try frame.content(limit: count) == body)
    }
  }
}
