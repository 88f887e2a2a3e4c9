// Apache-2.0.
import CKernels

/// Sums of many directions of a bank, ready to be formed block by block: Σ_j amount_j · z_j[p].
///
/// A block of sums stays in the first cache, so whoever forms weights from it touches memory once.
/// The value is read-only after it is made: threads may run disjoint ranges at once.
public struct BankReplay: Sendable {
  private let bank: DirectionBank
  private let directions: [UInt32]
  private let amounts: [Int32]

  /// Elements of a block where the bank sets no larger one.
  static let smallestBlock = 4096

  /// A replay of `terms`; rows of a Hadamard bank lie below its count, and Σ|amount| < 2^31.
  public init(
    _ bank: DirectionBank,
    terms: some Collection<(direction: UInt32, amount: Int32)>
  ) {
    self.bank = bank
    switch bank.family {
    case .independent:
      let moving = terms.filter { $0.amount != 0 }
      directions = moving.map(\.direction)
      amounts = moving.map(\.amount)
    case .hadamard(let log2Count):
      precondition(DirectionBank.hadamardLog2Range.contains(log2Count))
      var dense = [Int32](repeating: 0, count: 1 << log2Count)
      for term in terms { dense[Int(term.direction)] += term.amount }
      directions = []
      amounts = dense
    }
  }

  /// Ranges that start at a multiple of this waste no work at their ends.
  public var blockSize: Int { max(amounts.count, Self.smallestBlock) }

  /// Calls `body` with the sums of consecutive parts that cover `elements` in order.
  public func run<E: Error>(
    _ elements: Range<Int>,
    _ body: (_ part: Range<Int>, _ sums: Span<Int32>) throws(E) -> Void
  ) throws(E) {
    let size = isHadamard ? blockSize : Self.smallestBlock
    var sums = [Int32](repeating: 0, count: size)
    var rows = [UInt64](repeating: 0, count: isHadamard ? size / 64 : 0)
    var columns = rows
    var start = elements.lowerBound / size * size
    while start < elements.upperBound {
      let part = max(start, elements.lowerBound)..<min(start + size, elements.upperBound)
      if isHadamard {
        hadamard(start, part, &sums, &rows, &columns)
      } else {
        independent(start, part, &sums)
      }
      try body(part, sums.span.extracting(part.lowerBound - start..<part.upperBound - start))
      start += size
    }
  }

  private var isHadamard: Bool { bank.family != .independent }

  private func independent(_ start: Int, _ part: Range<Int>, _ sums: inout [Int32]) {
    for index in sums.indices { sums[index] = 0 }
    let first = part.lowerBound / 128 * 128
    let counter = bank.counter(.independentSigns, direction: 0, block: first >> 7)
    // SAFETY: the sums from `first` to the part's end lie within the block; the counter has four
    // words, the key two, and there are as many amounts as directions.
    unsafe sums.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress, !amounts.isEmpty else { return }
      unsafe samara_kernels().pointee.replay_independent(
        base + (first - start),
        Int64(part.upperBound - first),
        directions,
        amounts,
        Int64(amounts.count),
        counter,
        bank.keyWords
      )
    }
  }

  /// I = D ⊙ FWHT(S ⊙ A) on every bank block that meets the part.
  private func hadamard(
    _ start: Int,
    _ part: Range<Int>,
    _ sums: inout [Int32],
    _ rows: inout [UInt64],
    _ columns: inout [UInt64]
  ) {
    let count = amounts.count
    let log2Count = Int32(count.trailingZeroBitCount)
    let first = (part.lowerBound - start) / count * count
    let end = min((part.upperBound - start + count - 1) / count * count, sums.count)
    let words = (end + 127) / 128 * 2
    var rowSpan = rows.mutableSpan
    bank.fill(&rowSpan, words: words, purpose: .hadamardRows, direction: 0, block: start >> 7)
    var columnSpan = columns.mutableSpan
    bank.fill(&columnSpan, words: words, purpose: .hadamardColumns, direction: 0, block: start >> 7)
    // SAFETY: `first` and `end` are whole bank blocks within the sums, whose signs were filled.
    unsafe sums.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      let kernels = unsafe samara_kernels().pointee
      for at in stride(from: first, to: end, by: count) {
        let block = unsafe base + at
        unsafe kernels.conditional_negate(block, amounts, rows, Int64(at), Int64(count))
        unsafe kernels.walsh_hadamard_i32(block, log2Count)
        unsafe kernels.conditional_negate(block, block, columns, Int64(at), Int64(count))
      }
    }
  }
}
