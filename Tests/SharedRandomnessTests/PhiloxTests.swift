// Apache-2.0.
import CKernels
import SharedRandomness
import Testing

/// Vectors: kat_vectors of Random123 (Salmon et al., SC 2011).
@Suite struct PhiloxTests {
  struct KnownAnswer: Sendable {
    let counter: SIMD4<UInt32>
    let key: UInt64
    let expected: SIMD4<UInt32>
  }

  static let knownAnswers = [
    KnownAnswer(
      counter: SIMD4(repeating: 0),
      key: 0,
      expected: SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8)
    ),
    KnownAnswer(
      counter: SIMD4(repeating: .max),
      key: .max,
      expected: SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd)
    ),
    KnownAnswer(
      counter: SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
      key: 0x299f_31d0_a409_3822,
      expected: SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1)
    ),
  ]

  @Test(arguments: knownAnswers) func `the published answers come out`(_ answer: KnownAnswer) {
    #expect(Philox.block(answer.counter, key: answer.key) == answer.expected)
  }

  @Test(arguments: [0, 1, 15, 16, 17, 100]) func `the kernels equal the reference`(_ blocks: Int) {
    for isa in Kernels.available {
      let counter: [UInt32] = [0xFFFF_FFF0, 7, 8, 9]
      var output = [UInt32](repeating: 1, count: 4 * blocks + 1)
      unsafe isa.table.pointee.philox_fill(&output, Int64(blocks), counter, [3, 4])
      for block in 0..<blocks {
        let expected = Philox.block(
          SIMD4(0xFFFF_FFF0 &+ UInt32(block), 7, 8, 9),
          key: 4 << 32 | 3
        )
        for word in 0..<4 {
          #expect(output[4 * block + word] == expected[word], "\(isa.name) \(block)")
        }
      }
      #expect(output[4 * blocks] == 1, "\(isa.name) wrote past the end")
    }
  }

  @Test func `a bounded number is below its bound and takes every value`() {
    var stream = RandomStream(key: 5, purpose: .batch)
    var seen = Set<UInt32>()
    for _ in 0..<500 { seen.insert(stream.uniform(below: 7)) }
    #expect(seen == Set(0..<7))
  }

  @Test func `a permutation holds every position once and depends on its address`() {
    var one = RandomStream(key: 5, purpose: .batch, round: 1)
    var two = RandomStream(key: 5, purpose: .batch, round: 2)
    let first = one.permutation(of: 100)
    #expect(first.sorted() == Array(0..<100))
    #expect(first != two.permutation(of: 100))
    #expect(one.permutation(of: 0).isEmpty)
  }
}

/// The instruction sets of this machine.
enum Kernels {
  // SAFETY: a table is static data of the process.
  @safe struct Entry {
    let name: String
    let table: UnsafePointer<samara_kernel_table>
  }

  static var available: [Entry] {
    let names = ["scalar", "avx2", "avx512", "neon"]
    return names.indices.compactMap { isa in
      guard let table = unsafe samara_kernels_for(Int32(isa)) else { return nil }
      return unsafe Entry(name: names[isa], table: table)
    }
  }
}
