// Apache-2.0.
import CKernels

extension DirectionBank {
  /// sums[i] = Σ_j amount_j · z_j[elements.lowerBound + i], exact integers.
  ///
  /// Hadamard banks take one fast Walsh–Hadamard transform a block of K elements,
  /// I = D ⊙ FWHT(S ⊙ A), K log₂K additions instead of K². Disjoint ranges may run on several threads.
  ///
  /// - Parameters:
  ///   - terms: rows and their amounts; Σ|amount| < 2^31.
  ///   - elements: parameters, the lower bound a multiple of 128 and of K.
  ///   - sums: `elements.count` integers, overwritten.
  public func accumulate(
    _ terms: some Collection<(direction: UInt32, amount: Int32)>,
    elements: Range<Int>,
    into sums: inout MutableSpan<Int32>
  ) {
    precondition(sums.count >= elements.count)
    for index in 0..<elements.count { sums[index] = 0 }
    switch family {
    case .independent:
      accumulateIndependent(terms, elements: elements, into: &sums)
    case .hadamard(let log2Count):
      let count = 1 << log2Count
      precondition(elements.lowerBound % max(count, 128) == 0, "a range starts at a whole block")
      var amounts = [Int32](repeating: 0, count: count)
      for term in terms { amounts[Int(term.direction)] += term.amount }
      accumulateHadamard(amounts, log2Count: log2Count, elements: elements, into: &sums)
    }
  }

  /// Elements in an inner block of an independent replay: signs and sums stay in the first cache.
  private static let innerBlock = 4096

  private func accumulateIndependent(
    _ terms: some Collection<(direction: UInt32, amount: Int32)>,
    elements: Range<Int>,
    into sums: inout MutableSpan<Int32>
  ) {
    var signs = [UInt64](repeating: 0, count: Self.innerBlock / 64)
    var start = elements.lowerBound
    while start < elements.upperBound {
      let end = min(start + Self.innerBlock, elements.upperBound)
      for term in terms {
        var span = signs.mutableSpan
        fillSigns(term.direction, elements: start..<end, into: &span)
        // SAFETY: the sums of this inner block lie within the span, and the signs cover them.
        unsafe sums.withUnsafeMutableBufferPointer { buffer in
          guard let base = buffer.baseAddress else { return }
          unsafe samara_kernels().pointee.accumulate_signs(
            base + (start - elements.lowerBound),
            signs,
            0,
            Int64(end - start),
            term.amount
          )
        }
      }
      start = end
    }
  }

  private func accumulateHadamard(
    _ amounts: [Int32],
    log2Count: Int,
    elements: Range<Int>,
    into sums: inout MutableSpan<Int32>
  ) {
    let count = amounts.count
    // Philox makes 128 bits at a time: a block of 64 elements takes its half of them.
    let words = max(count / 64, 2)
    var rows = [UInt64](repeating: 0, count: words)
    var columns = rows
    var block = [Int32](repeating: 0, count: count)
    var start = elements.lowerBound
    while start < elements.upperBound {
      let here = min(count, elements.upperBound - start)
      let offset = Int64(start % 128)
      var rowSpan = rows.mutableSpan
      fill(&rowSpan, words: words, purpose: .hadamardRows, direction: 0, block: start >> 7)
      var columnSpan = columns.mutableSpan
      fill(&columnSpan, words: words, purpose: .hadamardColumns, direction: 0, block: start >> 7)
      // SAFETY: `block`, `amounts` and the signs hold a whole block; only `here` sums are written.
      unsafe sums.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        unsafe samara_kernels().pointee.conditional_negate(
          &block,
          amounts,
          rows,
          offset,
          Int64(count)
        )
        unsafe samara_kernels().pointee.walsh_hadamard_i32(&block, Int32(log2Count))
        unsafe samara_kernels().pointee.conditional_negate(
          base + (start - elements.lowerBound),
          block,
          columns,
          offset,
          Int64(here)
        )
      }
      start += here
    }
  }
}
