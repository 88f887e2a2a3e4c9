// Apache-2.0.
import Codecs
import Testing

@Suite struct OneByteCodeTests {
  @Test func `every byte but the skipped one survives a round trip`() throws {
    for byte in UInt8.min...UInt8.max where byte != 0x80 {
      let code = OneByteCode(byte: byte)
      #expect(try OneByteCode(nearest: code.value) == code)
      #expect(try OneByteCode(code.value, random: 0) == code)
      #expect(try OneByteCode(code.value, random: .max) == code)
      #expect(!code.isSkipped)
    }
    #expect(OneByteCode.skipped.isSkipped)
    #expect(OneByteCode.skipped.value == 0)
  }

  @Test func `magnitudes rise by the sixth root of two`() {
    #expect(OneByteCode.smallestMagnitude == 0.001)
    #expect(OneByteCode.largestMagnitude > 2097 && OneByteCode.largestMagnitude < 2098)
    for code in UInt8(1)..<127 {
      let ratio = OneByteCode(byte: code + 1).value / OneByteCode(byte: code).value
      #expect(abs(ratio - 1.122_462) < 1e-5)
    }
    for code in UInt8(1)...121 {
      let ratio = OneByteCode(byte: code + 6).value / OneByteCode(byte: code).value
      #expect(abs(ratio - 2) < 1e-6)
    }
  }

  @Test(arguments: [0.0004, 0.001, 0.0123, 1, -1.05, 17.3, -999.9] as [Float])
  func `stochastic rounding keeps the mean`(value: Float) throws {
    // Every 2^16th random word: the mean is then exact to a 2^-16th of the step.
    var sum = 0.0
    let draws = 1 << 16
    for draw in 0..<draws {
      let code = try OneByteCode(value, random: UInt32(draw) << 16)
      #expect(abs(Double(code.value - value)) <= max(0.001, 0.1225 * Double(abs(value))))
      sum += Double(code.value)
    }
    let step = max(0.001, 0.1225 * Double(abs(value)))
    #expect(abs(sum / Double(draws) - Double(value)) <= step / Double(draws) + 1e-9)
  }

  @Test func `the nearest code is within six percent`() throws {
    var value: Float = 0.001
    while value < 2090 {
      let code = try OneByteCode(nearest: value)
      #expect(abs(code.value - value) <= 0.0613 * value)
      value *= 1.0137
    }
  }

  @Test func `large scalars saturate and a small negative one is plain zero`() throws {
    #expect(try OneByteCode(1e30, random: 7).byte == 0x7F)
    #expect(try OneByteCode(-1e30, random: 7).byte == 0xFF)
    #expect(try OneByteCode(nearest: -.greatestFiniteMagnitude).byte == 0xFF)
    #expect(try OneByteCode(-1e-9, random: .max).byte == 0)
    #expect(try OneByteCode(-0.0, random: 0).byte == 0)
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity, .signalingNaN])
  func `what is not finite has no code`(value: Float) {
    #expect(throws: CodecError.self) { try OneByteCode(value, random: 0) }
    #expect(throws: CodecError.self) { try OneByteCode(nearest: value) }
  }
}
