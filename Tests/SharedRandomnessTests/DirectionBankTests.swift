// Apache-2.0.
import SharedRandomness
import Testing

@Suite struct DirectionBankTests {
  /// The signs of `count` elements from `start` on.
  static func bits(_ bank: DirectionBank, _ index: UInt32, count: Int, from start: Int = 0) -> [Int]
  {
    var words = [UInt64](repeating: 0, count: (count + 127) / 128 * 2)
    var span = words.mutableSpan
    bank.fillSigns(index, elements: start..<start + count, into: &span)
    return (0..<count).map { words[$0 >> 6] >> UInt64($0 & 63) & 1 == 1 ? -1 : 1 }
  }

  /// One Philox bit, straight from the definition.
  static func bit(_ bank: DirectionBank, _ purpose: Purpose, _ direction: UInt32, _ p: Int) -> Int {
    let words = Philox.block(
      SIMD4(UInt32(p >> 7), bank.epoch, direction, UInt32(purpose.rawValue) << 24),
      key: bank.key
    )
    return words[(p >> 5) & 3] >> UInt32(p & 31) & 1 == 1 ? -1 : 1
  }

  @Test func `an independent direction is the Philox bits of its index`() {
    let bank = DirectionBank(family: .independent, key: 0x1234_5678_9abc_def0, epoch: 3)
    for index: UInt32 in [0, 1, 4095, .max] {
      let made = Self.bits(bank, index, count: 1000, from: 256)
      for i in 0..<1000 {
        #expect(made[i] == Self.bit(bank, .independentSigns, index, 256 + i))
      }
    }
  }

  @Test(arguments: [6, 7, 9, 12])
  func `a Hadamard row is column sign times row sign times parity`(_ log2Count: Int) {
    let bank = DirectionBank(family: .hadamard(log2Count: log2Count), key: 77, epoch: 1)
    let count = 1 << log2Count
    for index in [0, 1, 63, count / 2 + 1, count - 1] {
      let made = Self.bits(bank, UInt32(index), count: 3 * count + 37, from: 128)
      for i in made.indices {
        let p = 128 + i
        let parity = ((p % count) & index).nonzeroBitCount % 2 == 1 ? -1 : 1
        let row = Self.bit(bank, .hadamardRows, 0, p / count * count + index)
        #expect(made[i] == Self.bit(bank, .hadamardColumns, 0, p) * row * parity, "\(p)")
      }
    }
  }

  @Test func `rows of a Hadamard bank are orthogonal within every whole block`() {
    let bank = DirectionBank(family: .hadamard(log2Count: 6), key: 9, epoch: 0)
    let rows = (0..<64).map { Self.bits(bank, UInt32($0), count: 128) }
    for a in 0..<64 {
      for b in 0..<64 {
        for block in 0..<2 {
          let dot = (64 * block..<64 * block + 64).reduce(0) { $0 + rows[a][$1] * rows[b][$1] }
          #expect(dot == (a == b ? 64 : 0))
        }
      }
    }
  }

  @Test func `row signs make blocks differ in more than columns`() {
    // Without them every block would hold the same vector up to column signs.
    let bank = DirectionBank(family: .hadamard(log2Count: 6), key: 9, epoch: 0)
    var sums: [[Int32]] = []
    for block in 0..<2 {
      var values = [Int32](repeating: 0, count: 64)
      var span = values.mutableSpan
      bank.accumulate(
        (0..<64).map { (direction: UInt32($0), amount: Int32($0 + 1)) },
        elements: 128 * block..<128 * block + 64,
        into: &span
      )
      sums.append(values.map { $0.magnitude }.map(Int32.init).sorted())
    }
    #expect(sums[0] != sums[1])
  }

  @Test(arguments: [
    DirectionFamily.independent, .hadamard(log2Count: 6), .hadamard(log2Count: 8),
    .hadamard(log2Count: 11),
  ])
  func `accumulating equals summing the rows one by one`(_ family: DirectionFamily) {
    let bank = DirectionBank(family: family, key: 0xFEED, epoch: 2)
    var stream = RandomStream(key: 1, purpose: .rounding)
    let terms = (0..<64).map { row in
      (direction: UInt32(row), amount: Int32(bitPattern: stream.next32()) >> 10)
    }
    let whole = 2048 + 5000
    var expected = [Int](repeating: 0, count: whole)
    for term in terms {
      let row = Self.bits(bank, term.direction, count: whole)
      for i in 0..<whole { expected[i] += Int(term.amount) * row[i] }
    }
    for start in [0, 1, 127, 2048, 4000] {
      for count in [0, 1, 63, 64, 127, 128, 129, 2048, 3048] {
        var sums = [Int32](repeating: 9, count: count + 1)
        var span = sums.mutableSpan
        bank.accumulate(terms, elements: start..<start + count, into: &span)
        #expect(
          sums.dropLast().map(Int.init) == Array(expected[start..<start + count]),
          "\(count) elements from \(start)"
        )
        #expect(sums[count] == 9, "wrote past the end")
      }
    }
  }

  @Test func `banks of other keys and epochs are other banks`() {
    let one = DirectionBank(family: .independent, key: 1, epoch: 0)
    let key = DirectionBank(family: .independent, key: 2, epoch: 0)
    let epoch = DirectionBank(family: .independent, key: 1, epoch: 1)
    let bits = Self.bits(one, 0, count: 256)
    #expect(bits != Self.bits(key, 0, count: 256))
    #expect(bits != Self.bits(epoch, 0, count: 256))
  }
}
