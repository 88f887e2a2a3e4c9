// Apache-2.0.
import CKernels
import SharedRandomness
import Testing

@Suite struct ProjectionTests {
  static func values(_ count: Int) -> [Float] {
    SharedKernelTests.words(count, 9).map { Float(Int32(bitPattern: $0)) * 0x1p-31 }
  }

  static func signs(_ bank: DirectionBank, _ row: UInt32, _ elements: Range<Int>) -> [Double] {
    let first = elements.lowerBound / 128 * 128
    let all = first..<elements.upperBound
    var words = [UInt64](repeating: 0, count: (all.count + 127) / 128 * 2)
    var span = words.mutableSpan
    bank.fillSigns(row, elements: all, into: &span)
    return elements.map { element in
      let bit = element - first
      return words[bit / 64] >> UInt64(bit % 64) & 1 == 1 ? -1 : 1
    }
  }

  @Test(arguments: [
    DirectionFamily.independent, .hadamard(log2Count: 6), .hadamard(log2Count: 7),
    .hadamard(log2Count: 12),
  ])
  func `a projection is the sum over signs`(family: DirectionFamily) {
    let bank = DirectionBank(family: family, key: 5, epoch: 3)
    let rows: [UInt32] = [0, 63, 1, 7, 40, 33, 2, 3, 62, 11]
    for elements in [0..<0, 0..<1, 0..<128, 5..<133, 64..<64 + 2048, 100..<5300, 4096..<10_241] {
      let values = Self.values(elements.count)
      let sums = bank.project(values.span, elements: elements, rows: rows)
      for (row, sum) in zip(rows, sums) {
        let exact = zip(Self.signs(bank, row, elements), values).reduce(0) {
          $0 + $1.0 * Double($1.1)
        }
        #expect(abs(sum - exact) < 1e-5 * Double(elements.count).squareRoot() + 1e-6)
      }
      #expect(bank.project(values.span, elements: elements, rows: []).isEmpty)
    }
  }

  @Test(arguments: [0, 1, 31, 127, 128, 2047, 2048, 2049, 4096, 7001])
  func `every instruction set projects alike`(count: Int) {
    let values = Self.values(count)
    let directions: [UInt32] = [4, 9, 1 << 31, 3, 2, 1, 0, 77, 78, 79, 80]
    for terms in [0, 1, 7, 8, 9, 11] {
      var expected = [Double](repeating: 0.5, count: terms)
      for (index, direction) in directions.prefix(terms).enumerated() {
        for (element, value) in values.enumerated() {
          let word = Philox.block(
            SIMD4(UInt32(7 + element / 128), 2, direction, 1 << 24),
            key: 4 << 32 | 17
          )[element / 32 % 4]
          expected[index] += Double(word >> UInt32(element % 32) & 1 == 1 ? -value : value)
        }
      }
      for isa in Kernels.available {
        var sums = [Double](repeating: 0.5, count: terms + 1)
        unsafe isa.table.pointee.project_independent(
          &sums,
          values,
          Int64(count),
          directions,
          Int64(terms),
          [7, 2, 99, 1 << 24],
          [17, 4]
        )
        #expect(sums[terms] == 0.5, "\(isa.name) wrote past the end")
        for (sum, exact) in zip(sums, expected) {
          #expect(abs(sum - exact) < 1e-5 * Double(count).squareRoot() + 1e-9, "\(isa.name)")
        }
      }
    }
  }

  @Test(arguments: SharedKernelTests.counts) func `floats are negated by their signs`(_ count: Int)
  {
    let input = Self.values(count)
    for offset in SharedKernelTests.offsets {
      let signs = SharedKernelTests.signs(covering: Int(offset) + count)
      for isa in Kernels.available {
        var negated = [Float](repeating: 5, count: count + 1)
        unsafe isa.table.pointee.negate_signs(&negated, input, signs, offset, Int64(count))
        let expected = input.indices.map {
          SharedKernelTests.negative(signs, offset + Int64($0)) ? -input[$0] : input[$0]
        }
        #expect(negated == expected + [5], "\(isa.name)")
      }
    }
  }

  @Test(arguments: 0...16) func `the transform of floats is that of integers`(_ log2Count: Int) {
    // Whole numbers whose sums binary32 holds exactly.
    let integers = SharedKernelTests.words(1 << log2Count, 4).map { Int32($0 % 255) - 127 }
    for isa in Kernels.available {
      var exact = integers
      var values = integers.map { Float($0) }
      unsafe isa.table.pointee.walsh_hadamard_i32(&exact, Int32(log2Count))
      unsafe isa.table.pointee.walsh_hadamard_f32(&values, Int32(log2Count))
      #expect(values == exact.map { Float($0) }, "\(isa.name)")
    }
  }
}
