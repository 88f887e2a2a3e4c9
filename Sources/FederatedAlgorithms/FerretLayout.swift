// Apache-2.0.
import FederatedCore
import SharedRandomness

/// Blocks of parameters, each with directions and a budget of coordinates of its own.
///
/// As published, tensors are taken in order and a block is closed where the next would make it larger
/// than 0.9 of the median tensor; none is split.
struct FerretLayout: Sendable, Equatable {
  /// What a block's share of the coordinates goes by.
  enum Budget: String, Sendable, CaseIterable {
    /// ‖Δ_l‖, as published.
    case norm
    /// √d_l · ‖Δ_l‖, which makes the sum of the expected squared errors least.
    case error
  }

  /// Elements of each block; together 0..<d.
  let ranges: [Range<Int>]

  init(_ tensors: [ParameterBlock]) {
    let sizes = tensors.map(\.range.count).sorted()
    let limit = sizes.isEmpty ? 0 : sizes[sizes.count / 2] * 9 / 10
    var ranges: [Range<Int>] = []
    for tensor in tensors where !tensor.range.isEmpty {
      if let last = ranges.last, last.count + tensor.range.count <= limit {
        ranges[ranges.count - 1] = last.lowerBound..<tensor.range.upperBound
      } else {
        ranges.append(tensor.range)
      }
    }
    self.ranges = ranges
  }

  /// Rows of the smallest Hadamard matrix a block fits in, 2^6 to 2^16.
  func log2Rows(_ block: Int) -> Int {
    let bounds = DirectionBank.hadamardLog2Range
    let needed = Int.bitWidth - max(0, ranges[block].count - 1).leadingZeroBitCount
    return min(max(needed, bounds.lowerBound), bounds.upperBound)
  }

  /// Coordinates of each block: in proportion to the norms, none where the norm is zero.
  ///
  /// Whole numbers decide, so sender and receiver agree. The sum passes `total` at the most by
  /// `minimum` a block.
  func budgets(
    _ norms: [NormByte],
    total: Int,
    minimum: Int,
    by rule: Budget,
    rows: (Int) -> Int
  ) -> [Int] {
    let weights = ranges.indices.map { block in
      UInt128(norms[block].units) * UInt128(rule == .norm ? 1 : Self.root(ranges[block].count))
    }
    let sum = weights.reduce(0, +)
    return ranges.indices.map { block in
      guard weights[block] > 0 else { return 0 }
      let share = Int(UInt128(total) * weights[block] / sum)
      return min(max(share, minimum), rows(block))
    }
  }

  /// The square root of a count, rounded down; correctly rounded binary64 is exact enough for 2^52.
  private static func root(_ count: Int) -> Int { max(1, Int(Double(count).squareRoot())) }
}
