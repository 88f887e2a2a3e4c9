// Apache-2.0.
import CKernels
import SharedRandomness
import Testing

/// Shared state must not depend on the instruction set: every bit equals the scalar oracle, and the
/// oracle equals the definition in plain Swift.
@Suite struct SharedKernelTests {
  static let counts = [0, 1, 2, 7, 63, 64, 65, 127, 200, 1000]
  static let offsets: [Int64] = [0, 1, 31, 63, 64, 77]

  static func words(_ count: Int, _ seed: UInt32) -> [UInt32] {
    var stream = RandomStream(key: 3, purpose: .rounding, client: seed)
    return (0..<count).map { _ in stream.next32() }
  }

  static func signs(covering bits: Int) -> [UInt64] {
    words((bits + 63) / 64 * 2, 1).enumerated().reduce(
      into: [UInt64](repeating: 0, count: (bits + 63) / 64)
    ) { $0[$1.offset / 2] |= UInt64($1.element) << UInt64(32 * ($1.offset % 2)) }
  }

  static func negative(_ signs: [UInt64], _ bit: Int64) -> Bool {
    signs[Int(bit >> 6)] >> UInt64(bit & 63) & 1 == 1
  }

  @Test(arguments: counts) func `integers are negated and summed by their signs`(_ count: Int) {
    let input = Self.words(count, 2).map { Int32(bitPattern: $0) >> 3 }
    for offset in Self.offsets {
      let signs = Self.signs(covering: Int(offset) + count)
      for isa in Kernels.available {
        var negated = [Int32](repeating: 5, count: count + 1)
        var sums = input + [5]
        unsafe isa.table.pointee.conditional_negate(&negated, input, signs, offset, Int64(count))
        unsafe isa.table.pointee.accumulate_signs(&sums, signs, offset, Int64(count), 12345)
        for i in 0..<count {
          let minus = Self.negative(signs, offset + Int64(i))
          #expect(negated[i] == (minus ? -input[i] : input[i]), "\(isa.name)")
          #expect(sums[i] == input[i] + (minus ? -12345 : 12345), "\(isa.name)")
        }
        #expect(negated[count] == 5 && sums[count] == 5, "\(isa.name) wrote past the end")
      }
    }
  }

  @Test(arguments: [0, 1, 8, 9, 100]) func `replaying terms equals accumulating them one by one`(
    _ terms: Int
  ) {
    let directions = Self.words(terms, 7)
    let amounts = Self.words(terms, 8).map { Int32(bitPattern: $0) >> 8 }
    let key: [UInt32] = [17, 4]
    for count in [0, 1, 127, 128, 1023, 1024, 2047, 2048, 2049, 5000] {
      var expected = (0..<count).map { Int32($0) }
      var signs = [UInt32](repeating: 0, count: (count + 127) / 128 * 4)
      for (direction, amount) in zip(directions, amounts) {
        for block in 0..<signs.count / 4 {
          let counter = SIMD4(UInt32(block) &- 3, 2, direction, 1 << 24)
          let words = Philox.block(counter, key: 4 << 32 | 17)
          for word in 0..<4 { signs[4 * block + word] = words[word] }
        }
        for i in 0..<count {
          expected[i] += signs[i / 32] >> UInt32(i % 32) & 1 == 1 ? -amount : amount
        }
      }
      for isa in Kernels.available {
        var sums = (0...count).map { Int32($0) }
        unsafe isa.table.pointee.replay_independent(
          &sums,
          Int64(count),
          directions,
          amounts,
          Int64(terms),
          [UInt32.max - 2, 2, 99, 1 << 24],
          key
        )
        #expect(sums.dropLast() == expected[...], "\(isa.name), \(count) sums")
        #expect(sums[count] == Int32(count), "\(isa.name) wrote past the end")
      }
    }
  }

  @Test(arguments: counts) func `a step along signs is one addition`(_ count: Int) {
    let weights = Self.words(count, 3).map { Float(Int32(bitPattern: $0)) / 1e9 }
    for offset in Self.offsets {
      let signs = Self.signs(covering: Int(offset) + count)
      for step: Float in [1e-3, -0.1, 0] {
        for isa in Kernels.available {
          var moved = weights
          unsafe isa.table.pointee.apply_signs(&moved, signs, offset, Int64(count), step)
          for i in 0..<count {
            let minus = Self.negative(signs, offset + Int64(i))
            #expect(moved[i] == weights[i] + (minus ? -step : step), "\(isa.name)")
          }
        }
      }
    }
  }

  @Test(arguments: 0...13) func `the Walsh–Hadamard transform is its matrix`(_ log2Count: Int) {
    let count = 1 << log2Count
    let input = Self.words(count, 4).map { Int32(bitPattern: $0) >> 18 }
    let rows = count <= 256 ? Array(0..<count) : [0, 1, 2, 77, count / 2, count - 1]
    for isa in Kernels.available {
      var values = input
      unsafe isa.table.pointee.walsh_hadamard_i32(&values, Int32(log2Count))
      for row in rows {
        let expected = (0..<count).reduce(0) {
          $0 + Int(input[$1]) * ((row & $1).nonzeroBitCount % 2 == 1 ? -1 : 1)
        }
        #expect(Int(values[row]) == expected, "\(isa.name) row \(row)")
      }
    }
  }

  @Test(arguments: [0, 7, 20, 35]) func `weights are formed in binary64 and rounded once`(
    _ exponent: Int
  ) {
    let count = 1000
    // Runs of large and of small integers, which kernels may treat differently, to the bound of 2^24.
    let integers = Self.words(count, 5).enumerated().map { index, word -> Int32 in
      let value = Int32(bitPattern: word)
      switch index / 48 % 4 {
      case 0: return value
      case 1: return value >> 8
      case 2: return value >> 20
      default: return index % 2 == 0 ? 1 << 24 : 1 - 1 << 24
      }
    }
    let base = Self.words(count, 6).map { Float(Int32(bitPattern: $0)) * 0x1p-34 }
    let unit = Double(sign: .plus, exponent: -exponent, significand: 1)
    let expected = (0..<count).map { Float(Double(base[$0]) + unit * Double(integers[$0])) }
    for isa in Kernels.available {
      var weights = [Float](repeating: 0, count: count)
      unsafe isa.table.pointee.form_weights(
        base,
        Int32(SAMARA_F32.rawValue),
        integers,
        Int32(exponent),
        &weights,
        Int64(count)
      )
      #expect(weights.map(\.bitPattern) == expected.map(\.bitPattern), "\(isa.name)")
      for short in [0, 1, 3, 5, 9, 15] {
        var few = [Float](repeating: 7, count: short + 1)
        unsafe isa.table.pointee.form_weights(
          base,
          Int32(SAMARA_F32.rawValue),
          integers,
          Int32(exponent),
          &few,
          Int64(short)
        )
        #expect(few == expected[..<short] + [7], "\(isa.name), \(short) weights")
      }
    }
  }

  @Test func `every half and brain float widens exactly`() {
    let all = (0...UInt16.max).map { $0 }
    let zeros = [Int32](repeating: 0, count: all.count)
    for isa in Kernels.available {
      for type in [SAMARA_F16, SAMARA_BF16] {
        var weights = [Float](repeating: 0, count: all.count)
        unsafe isa.table.pointee.form_weights(
          all,
          Int32(type.rawValue),
          zeros,
          10,
          &weights,
          Int64(all.count)
        )
        for bits in all {
          let exact =
            type == SAMARA_F16
            ? Float(Float16(bitPattern: bits)) : Float(bitPattern: UInt32(bits) << 16)
          // Adding zero turns −0 into +0, as it does for every stored type.
          let wanted = exact + 0
          let got = weights[Int(bits)]
          #expect(got == wanted || (got.isNaN && wanted.isNaN), "\(isa.name) \(bits)")
        }
      }
    }
  }
}
