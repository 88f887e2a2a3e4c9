// Apache-2.0.

/// Merges a word's symbols pair by pair, the lowest rank first and the leftmost of equals.
struct PairMerger {
  /// The symbols: the word's characters before, its tokens after.
  var symbols: [Int32] = []
  /// For each symbol, the table's value of the pair it begins.
  private var pairs: [UInt64] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  /// `rank << 32 | position`, smallest at the root.
  private var heap: [UInt64] = []

  /// Up to here looking for the smallest is faster than keeping a heap.
  static let longestScan = 40
  private static let rankBits: UInt64 = 0xFFFF_FFFF_0000_0000

  /// Merges until no pair of neighbours is in the table.
  mutating func merge(_ table: PairTable) {
    guard symbols.count > 1 else { return }
    pairs.removeAll(keepingCapacity: true)
    for index in 1..<symbols.count { pairs.append(table[symbols[index - 1], symbols[index]]) }
    pairs.append(PairTable.none)
    if symbols.count <= Self.longestScan { scan(table) } else { mergeByHeap(table) }
  }

  private mutating func scan(_ table: PairTable) {
    while true {
      var best = PairTable.none
      var position = 0
      for index in 0..<pairs.count where pairs[index] >> 32 < best >> 32 {
        best = pairs[index]
        position = index
      }
      guard best != PairTable.none else { return }
      symbols[position] = Int32(truncatingIfNeeded: best)
      symbols.remove(at: position + 1)
      pairs.remove(at: position + 1)
      if position + 1 < symbols.count {
        pairs[position] = table[symbols[position], symbols[position + 1]]
      } else {
        pairs[position] = PairTable.none
      }
      if position > 0 { pairs[position - 1] = table[symbols[position - 1], symbols[position]] }
    }
  }

  private mutating func mergeByHeap(_ table: PairTable) {
    let count = symbols.count
    previous = (0..<Int32(count)).map { $0 - 1 }
    next = (0..<Int32(count)).map { $0 + 1 }
    heap.removeAll(keepingCapacity: true)
    for index in 0..<count - 1 where pairs[index] != PairTable.none {
      push(pairs[index] & Self.rankBits | UInt64(index))
    }
    while let top = pop() {
      let position = Int(top & 0xFFFF_FFFF)
      // What has changed since it was pushed no longer has that rank, or is no symbol any more.
      guard symbols[position] >= 0, pairs[position] >> 32 == top >> 32,
        pairs[position] != PairTable.none
      else { continue }
      let right = Int(next[position])
      let after = Int(next[right])
      symbols[position] = Int32(truncatingIfNeeded: pairs[position])
      symbols[right] = -1
      next[position] = Int32(after)
      if after < count { previous[after] = Int32(position) }
      renew(position, after < count ? table[symbols[position], symbols[after]] : PairTable.none)
      let before = Int(previous[position])
      if before >= 0 { renew(before, table[symbols[before], symbols[position]]) }
    }
    symbols.removeAll { $0 < 0 }
  }

  private mutating func renew(_ position: Int, _ pair: UInt64) {
    pairs[position] = pair
    if pair != PairTable.none { push(pair & Self.rankBits | UInt64(position)) }
  }

  private mutating func push(_ entry: UInt64) {
    var child = heap.count
    heap.append(entry)
    while child > 0, heap[(child - 1) / 2] > entry {
      heap[child] = heap[(child - 1) / 2]
      child = (child - 1) / 2
    }
    heap[child] = entry
  }

  private mutating func pop() -> UInt64? {
    guard let top = heap.first, let last = heap.popLast() else { return nil }
    if heap.isEmpty { return top }
    var parent = 0
    while true {
      var child = parent * 2 + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
      if heap[child] >= last { break }
      heap[parent] = heap[child]
      parent = child
    }
    heap[parent] = last
    return top
  }
}
