// Apache-2.0.
import Testing

@testable import FederatedAlgorithms

@Suite struct ProductTermsTests {
  /// Entry of a matrix of ±1 whose columns are orthogonal.
  private static func sign(_ i: Int, _ j: Int) -> Double {
    (i & j).nonzeroBitCount & 1 == 0 ? 1 : -1
  }

  private static func matrix(_ terms: ProductTerms, _ rows: Int, _ columns: Int) -> [Double] {
    var sum = [Double](repeating: 0, count: rows * columns)
    for (column, row) in zip(terms.left, terms.right) {
      for i in 0..<rows {
        for j in 0..<columns { sum[i * columns + j] += column[i] * row[j] }
      }
    }
    return sum
  }

  private static func distance(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
  }

  /// Singular values 5, 3, 2, 0.5 and directions that are known, hidden in sums of their rows.
  private static func mixed() -> ProductTerms {
    let values = [5.0, 3, 2, 0.5]
    var terms = ProductTerms()
    // Σ_k u_k v_kᵀ = Σ_ij (H_ij u_i)(Σ_k H_kj v_k)ᵀ / 4 with H of orthogonal signs.
    for j in 0..<4 {
      let column = (0..<8).map { row in
        (0..<4).reduce(0) { $0 + sign($1, j) * values[$1] * sign(row, $1 + 1) / 8.0.squareRoot() }
      }
      let row = (0..<16).map { place in
        (0..<4).reduce(0) { $0 + sign($1, j) * sign(place, 3 * $1 + 2) / 4 } / 4
      }
      terms.append(column, row)
    }
    return terms
  }

  @Test func `the nearest matrix of a rank leaves out the least singular values`() {
    let terms = Self.mixed()
    let whole = Self.matrix(terms, 8, 16)
    for (rank, left) in [(4, 0), (3, 0.5), (2, 4.25.squareRoot()), (1, 13.25.squareRoot())] {
      let nearest = terms.nearest(rank: rank)
      #expect(nearest.left.count == rank)
      let distance = Self.distance(Self.matrix(nearest, 8, 16), whole)
      #expect(abs(distance - left) < 1e-12, "\(distance) at rank \(rank)")
    }
    let lengths = terms.nearest(rank: 4).left.map {
      $0.reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
    #expect(zip(lengths, [5, 3, 2, 0.5]).allSatisfy { abs($0 - $1) < 1e-12 }, "\(lengths)")
  }

  @Test func `rows are orthonormal and columns orthogonal`() {
    let nearest = Self.mixed().nearest(rank: 4)
    func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    for i in 0..<4 {
      for j in 0..<4 {
        #expect(abs(dot(nearest.right[i], nearest.right[j]) - (i == j ? 1 : 0)) < 1e-12)
        #expect(i == j || abs(dot(nearest.left[i], nearest.left[j])) < 1e-11)
      }
    }
  }

  @Test func `more terms than the matrix has rows or columns are no more rank`() {
    var terms = ProductTerms()
    for k in 0..<9 {
      terms.append(
        (0..<3).map { Double((k * 7 + $0 * 5) % 11) - 5 },
        (0..<2).map { Double((k * 3 + $0 * 4) % 7) - 3 }
      )
    }
    let nearest = terms.nearest(rank: 8)
    #expect(nearest.left.count == 2)
    #expect(Self.distance(Self.matrix(nearest, 3, 2), Self.matrix(terms, 3, 2)) < 1e-12)
  }

  @Test func `terms that cancel leave nothing worth a unit`() {
    var terms = Self.mixed()
    for (column, row) in zip(terms.left, terms.right) { terms.append(column.map { -$0 }, row) }
    let rest = Self.matrix(terms.nearest(rank: 4), 8, 16)
    #expect(rest.allSatisfy { abs($0) < 1e-12 })
    #expect(ProductTerms().nearest(rank: 3).left.isEmpty)
  }
}
