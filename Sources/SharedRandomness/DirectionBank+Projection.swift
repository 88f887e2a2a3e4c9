// Apache-2.0.
import CKernels

extension DirectionBank {
  /// ⟨z_row, v⟩ over a range of parameters for many rows: what a client measures of a difference of weights.
  ///
  /// One pass over the values; signs are made block by block. The numbers are data: they may differ in
  /// their last bits from machine to machine, unlike what is rebuilt from them.
  ///
  /// - Parameters:
  ///   - values: v, an element for each of `elements`.
  ///   - elements: parameters.
  ///   - rows: rows of the bank.
  public func project(_ values: Span<Float>, elements: Range<Int>, rows: [UInt32]) -> [Double] {
    precondition(values.count == elements.count, "\(values.count) values of \(elements.count)")
    var sums = [Double](repeating: 0, count: rows.count)
    guard !elements.isEmpty, !rows.isEmpty else { return sums }
    switch family {
    case .independent: independent(values, elements.lowerBound, rows, &sums)
    case .hadamard(let log2Count): hadamard(values, elements, rows, log2Count, &sums)
    }
    return sums
  }

  private func independent(
    _ values: Span<Float>,
    _ start: Int,
    _ rows: [UInt32],
    _ sums: inout [Double]
  ) {
    // Signs come in blocks of 128 elements: zeros before the first value add nothing.
    let lead = start % 128
    var padded: [Float] = []
    if lead > 0 {
      padded.reserveCapacity(lead + values.count)
      for _ in 0..<lead { padded.append(0) }
      for index in 0..<values.count { padded.append(values[index]) }
    }
    let counter = counter(.independentSigns, direction: 0, block: start >> 7)
    // SAFETY: as many sums as rows, and the values begin at a block of signs.
    unsafe values.withUnsafeBufferPointer { plain in
      unsafe padded.withUnsafeBufferPointer { moved in
        let input = unsafe lead == 0 ? plain : moved
        unsafe samara_kernels().pointee.project_independent(
          &sums,
          input.baseAddress,
          Int64(input.count),
          rows,
          Int64(rows.count),
          counter,
          keyWords
        )
      }
    }
  }

  /// Σ_b S_b[row] · FWHT(D_b ⊙ v_b)[row] over the bank's blocks that meet the range.
  private func hadamard(
    _ values: Span<Float>,
    _ elements: Range<Int>,
    _ rows: [UInt32],
    _ log2Count: Int,
    _ sums: inout [Double]
  ) {
    precondition(Self.hadamardLog2Range.contains(log2Count))
    let count = 1 << log2Count
    precondition(rows.allSatisfy { $0 < count }, "a row past 2^\(log2Count)")
    let words = max(2, count / 64)
    var block = [Float](repeating: 0, count: count)
    var columnSigns = [UInt64](repeating: 0, count: words)
    var rowSigns = columnSigns
    for start in stride(
      from: elements.lowerBound / count * count,
      to: elements.upperBound,
      by: count
    ) {
      // Where a block is shorter than the 128 signs of a draw, it begins within them.
      let offset = start % 128
      let part = max(start, elements.lowerBound)..<min(start + count, elements.upperBound)
      if part.count < count { for index in block.indices { block[index] = 0 } }
      for element in part { block[element - start] = values[element - elements.lowerBound] }
      var columns = columnSigns.mutableSpan
      fill(&columns, words: words, purpose: .hadamardColumns, direction: 0, block: start >> 7)
      var row = rowSigns.mutableSpan
      fill(&row, words: words, purpose: .hadamardRows, direction: 0, block: start >> 7)
      // SAFETY: `count` elements, whose signs were filled.
      unsafe block.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        let kernels = unsafe samara_kernels().pointee
        unsafe kernels.negate_signs(base, base, columnSigns, Int64(offset), Int64(count))
        unsafe kernels.walsh_hadamard_f32(base, Int32(log2Count))
      }
      for (index, row) in rows.enumerated() {
        let bit = offset + Int(row)
        let value = Double(block[Int(row)])
        sums[index] += rowSigns[bit / 64] >> UInt64(bit % 64) & 1 == 1 ? -value : value
      }
    }
  }
}
