// Apache-2.0.
import Codecs
import Testing
import WireProtocol

@testable import Coordination

@Suite struct DeviceProfileTests {
  private static func profile(batch: UInt32, _ short: UInt64, _ long: UInt64) -> DeviceProfile {
    DeviceProfile(
      memory: 0,
      frozen: .stored,
      rank: 1,
      batchSize: batch,
      shortStep: short,
      longStep: long
    )
  }

  @Test func `a batch is the largest whose step is done in time`() {
    let device = Self.profile(batch: 9, 200, 1000)
    #expect(device.step(examples: 1) == 200 && device.step(examples: 9) == 1000)
    for (time, batch) in [(100.0, 1), (200, 1), (299, 1), (300, 2), (950, 8), (1000, 9), (1e9, 9)] {
      #expect(device.batch(within: time) == UInt32(batch), "\(time)")
    }
    // What takes no time, or was measured backwards, has room for the whole batch.
    #expect(Self.profile(batch: 9, 0, 0).batch(within: 0) == 9)
    #expect(Self.profile(batch: 9, 500, 400).batch(within: 10) == 9)
    #expect(Self.profile(batch: 1, 300, 300).batch(within: 10) == 1)
    #expect(Self.profile(batch: 1, 300, 300).step(examples: 4) == 1200)
    let longest = DeviceProfile.longestStep
    #expect(Self.profile(batch: 1 << 20, 0, longest).batch(within: .infinity) == 1 << 20)
  }

  @Test func `a profile of nothing, or of more than a day, is refused`() throws {
    let bytes = Self.profile(batch: 9, 200, 1000).encoded
    #expect(try DeviceProfile(decoding: bytes) == Self.profile(batch: 9, 200, 1000))
    for (place, value) in [(1, 3), (2, 0), (3, 0)] {
      var other = bytes
      other[place] = UInt8(value)
      #expect(throws: CodecError.self) { try DeviceProfile(decoding: other) }
    }
    let late = Self.profile(batch: 9, 200, DeviceProfile.longestStep + 1)
    #expect(throws: CodecError.self) { try DeviceProfile(decoding: late.encoded) }
  }
}
