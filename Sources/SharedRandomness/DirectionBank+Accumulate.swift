// Apache-2.0.

extension DirectionBank {
  /// sums[i] = Σ_j amount_j · z_j[elements.lowerBound + i], exact integers.
  ///
  /// Hadamard banks take one fast Walsh–Hadamard transform a block of K elements,
  /// I = D ⊙ FWHT(S ⊙ A), K log₂K additions instead of K². `BankReplay` is the same without the
  /// buffer of all sums.
  ///
  /// - Parameters:
  ///   - terms: rows and their amounts; Σ|amount| < 2^31.
  ///   - elements: parameters.
  ///   - sums: `elements.count` integers, overwritten.
  public func accumulate(
    _ terms: some Collection<(direction: UInt32, amount: Int32)>,
    elements: Range<Int>,
    into sums: inout MutableSpan<Int32>
  ) {
    precondition(sums.count >= elements.count, "\(sums.count) sums for \(elements.count) elements")
    // SAFETY: parts lie within `elements`, and the span holds that many sums.
    unsafe sums.withUnsafeMutableBufferPointer { buffer in
      BankReplay(self, terms: terms).run(elements) { part, block in
        for index in 0..<block.count {
          unsafe buffer[part.lowerBound - elements.lowerBound + index] = block[index]
        }
      }
    }
  }
}
