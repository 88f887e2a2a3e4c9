// Apache-2.0.
import Testing

@testable import ModelFiles

@Suite struct PairMergerTests {
  /// Merges by the definition: of all pairs the lowest rank, of equal ones the leftmost.
  static func reference(_ word: [Int32], _ table: PairTable) -> [Int32] {
    var symbols = word
    while true {
      var best: (rank: UInt64, position: Int)?
      for position in symbols.indices.dropLast() {
        let pair = table[symbols[position], symbols[position + 1]]
        if pair != PairTable.none, pair >> 32 < best?.rank ?? .max { best = (pair >> 32, position) }
      }
      guard let best else { return symbols }
      symbols[best.position] = Int32(
        truncatingIfNeeded: table[symbols[best.position], symbols[best.position + 1]]
      )
      symbols.remove(at: best.position + 1)
    }
  }

  @Test(arguments: [0, 1, 2, 3, 7, 39, 40, 41, 42, 97, 500])
  func `short and long words merge as defined`(_ length: Int) {
    var state: UInt64 = 7 &+ UInt64(length)
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    var merger = PairMerger()
    for round in 0..<20 {
      // Tokens below 4 are characters; each merge makes the next token.
      var table = PairTable(count: 40)
      for rank in 0..<40 {
        let known = 4 + rank
        let (left, right) = (Int32(next(known)), Int32(next(known)))
        let isKept = table.insert(left, right, rank: rank, result: Int32(known))
        #expect(isKept)
      }
      let word = (0..<length).map { _ in Int32(next(round % 3 + 1)) }
      merger.symbols = word
      merger.merge(table)
      #expect(merger.symbols == Self.reference(word, table))
    }
  }
}
