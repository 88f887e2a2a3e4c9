// Apache-2.0.
import Codecs
import SharedRandomness
import Testing

@testable import FederatedAlgorithms

@Suite struct DeltaCodecTests {
  static let codecs: [DeltaCodec] = [
    .fixed(bits: 32), .fixed(bits: 16), .blocks(bits: 8), .blocks(bits: 4), .ternary(density: 0.05),
    .ternary(density: 1),
  ]
  static let counts = [1, 2, 63, 64, 65, 255, 257, 1000, (1 << 16) - 1, (1 << 16) + 3, 200_001]

  /// Amounts as training leaves them: many small ones, a few large ones, some zeros.
  static func amounts(_ count: Int, seed: UInt32, largest: Int32 = 1 << 30) -> [Int32] {
    var stream = RandomStream(key: 5, purpose: .device, client: seed)
    return (0..<count).map { index in
      let word = stream.next32()
      if word % 7 == 0 { return 0 }
      let shift = index % 50 == 3 ? 1 : 12 + Int(word % 5)
      return Int32(bitPattern: stream.next32()) >> shift / (largest < 1 << 20 ? 1 << 10 : 1)
    }
    .map { max(-largest, min(largest, $0)) }
  }

  @Test(arguments: codecs)
  func `what is decoded and what was left out add up to what was given`(codec: DeltaCodec) throws {
    for count in Self.counts {
      let given = Self.amounts(count, seed: UInt32(count))
      var left = given
      let payload = codec.encode(&left)
      let decoded = try DeltaPayload(payload, codec: codec, count: count).decoded()
      #expect(zip(decoded, left).map { $0 + $1 } == given)
      if codec.isLossless { #expect(decoded == given) }
    }
    for constant in [Int32(0), 1, -1, 1 << 30, -(1 << 30)] {
      let given = [Int32](repeating: constant, count: 700)
      var left = given
      let payload = codec.encode(&left)
      let decoded = try DeltaPayload(payload, codec: codec, count: 700).decoded()
      #expect(zip(decoded, left).map { $0 + $1 } == given)
    }
  }

  @Test func `blocks leave out half a step at most, and 16 bits half a unit`() throws {
    let given = Self.amounts(100_000, seed: 3)
    for (bits, size, limit) in [(8, 256, 127), (4, 64, 7)] {
      var left = given
      _ = DeltaCodec.blocks(bits: bits).encode(&left)
      for start in stride(from: 0, to: given.count, by: size) {
        let block = given[start..<min(given.count, start + size)]
        let largest = block.reduce(0) { max($0, Int($1.magnitude)) }
        // A step is rounded up to 12 bits.
        let step = Double(largest + limit) / Double(limit) * (1 + 0x1p-11)
        for index in block.indices { #expect(Double(left[index].magnitude) <= step / 2 + 1) }
      }
    }
    var left = given
    let payload = DeltaCodec.fixed(bits: 16).encode(&left)
    let largest = given.reduce(0) { max($0, Int($1.magnitude)) }
    #expect(left.allSatisfy { Int($0.magnitude) <= largest >> 14 })
    #expect(payload.count < 2 * given.count)
  }

  @Test func `error feedback delivers what was left out`() throws {
    for codec in Self.codecs {
      let way = Self.amounts(5_000, seed: 8, largest: 1 << 16)
      var residual = [Int32](repeating: 0, count: way.count)
      var delivered = [Int](repeating: 0, count: way.count)
      let rounds = 200
      for _ in 0..<rounds {
        residual = zip(way, residual).map { $0 + $1 }
        let payload = codec.encode(&residual)
        let decoded = try DeltaPayload(payload, codec: codec, count: way.count).decoded()
        delivered = zip(delivered, decoded).map { $0 + Int($1) }
      }
      // Exactly: what is not delivered is still kept, and it does not grow.
      #expect(
        zip(delivered, residual).map { $0 + Int($1) } == way.map { rounds * Int($0) }
      )
      let kept = residual.reduce(0.0) { max($0, Double($1.magnitude)) }
      #expect(kept < 0.5 * Double(rounds) * 65_536)
    }
  }

  @Test func `a ternary payload keeps the largest and costs its entropy`() throws {
    let count = 400_000
    var given = [Int32](repeating: 3, count: count)
    var stream = RandomStream(key: 5, purpose: .device, client: 9)
    var chosen: Set<Int> = []
    while chosen.count < 4000 { chosen.insert(Int(stream.uniform(below: UInt32(count)))) }
    for place in chosen { given[place] = place % 2 == 0 ? 5000 : -5000 }
    var left = given
    let codec = DeltaCodec.ternary(density: 0.01)
    let payload = codec.encode(&left)
    let decoded = try DeltaPayload(payload, codec: codec, count: count).decoded()
    #expect(Set(decoded.indices.filter { decoded[$0] != 0 }) == chosen)
    #expect(chosen.allSatisfy { decoded[$0] == given[$0] })
    // log2 of a choice of one in a hundred, and a sign: 8.08 + 1 bits each; a Rice code takes 3 % more.
    #expect(Double(payload.count) * 8 / 4000 < 9.6, "\(payload.count) bytes")
  }

  @Test func `steps are rounded up by less than one part in two thousand`() {
    for index in stride(from: 0, to: 70_000, by: 173) {
      for step in [index, index << 7 + 1, index << 14 + 3] where step < 1 << 30 {
        let value = StepCode(atLeast: step).value
        #expect(value >= step && Double(value - step) <= Double(step) * 0x1p-11)
      }
    }
  }

  @Test(arguments: codecs)
  func `hostile payloads are refused before anything is made of them`(codec: DeltaCodec) throws {
    let count = 3000
    var left = Self.amounts(count, seed: 4)
    let good = codec.encode(&left)
    func take(_ bytes: [UInt8], _ elements: Int = count) throws -> [Int32] {
      try DeltaPayload(bytes, codec: codec, count: elements).decoded()
    }
    _ = try take(good)
    #expect(throws: CodecError.self) { try take(good, count + 1) }
    for cut in stride(from: 0, to: good.count, by: max(1, good.count / 200)) {
      #expect(throws: CodecError.self) { try take(Array(good[..<cut])) }
    }
    #expect(throws: CodecError.self) { try take(good + [0]) }
    // Any byte may be another: it is refused or gives amounts, and never more than there are elements.
    var stream = RandomStream(key: 6, purpose: .device)
    for _ in 0..<2000 {
      var bad = good
      for _ in 0...stream.uniform(below: 3) {
        bad[Int(stream.uniform(below: UInt32(bad.count)))] = UInt8(stream.uniform(below: 256))
      }
      if let found = try? take(bad) { #expect(found.count == count) }
    }
    for other in Self.codecs where other.form != codec.form {
      var left = Self.amounts(count, seed: 4)
      #expect(throws: CodecError.self) { try take(other.encode(&left)) }
    }
  }
}
