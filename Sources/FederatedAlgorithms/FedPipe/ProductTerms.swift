// Apache-2.0.

/// A matrix as a sum of outer products, Σ_k left_k · right_kᵀ, and the nearest one of lower rank.
///
/// Binary64, one IEEE operation after another in one order, square roots the only function: every
/// machine finds the same bits.
struct ProductTerms {
  /// Columns and rows; of `nearest`, in descending order of the length of the columns, those
  /// orthogonal and these orthonormal.
  private(set) var left: [[Double]] = []
  private(set) var right: [[Double]] = []

  private static let sweeps = 40

  /// One more outer product; one that is zero adds nothing.
  mutating func append(_ column: [Double], _ row: [Double]) {
    guard column.contains(where: { $0 != 0 }), row.contains(where: { $0 != 0 }) else { return }
    left.append(column)
    right.append(row)
  }

  /// The nearest matrix of a rank at most, in the Frobenius norm (Eckart and Young, 1936).
  func nearest(rank: Int) -> ProductTerms {
    var terms = orthonormalRows()
    terms.rotate()
    let lengths = terms.left.map { Self.dot($0, $0) }
    let order = lengths.indices.sorted { (lengths[$1], $0) < (lengths[$0], $1) }
    var nearest = ProductTerms()
    for index in order.prefix(rank) { nearest.append(terms.left[index], terms.right[index]) }
    return nearest
  }

  /// The same matrix on orthonormal rows: Gram-Schmidt, each row twice.
  private func orthonormalRows() -> ProductTerms {
    var terms = ProductTerms()
    for (column, whole) in zip(left, right) {
      var row = whole
      for _ in 0..<2 {
        for index in terms.right.indices {
          let part = Self.dot(row, terms.right[index])
          Self.add(terms.right[index], times: -part, to: &row)
          Self.add(column, times: part, to: &terms.left[index])
        }
      }
      let squares = Self.dot(row, row)
      // What is left of a row within the others is rounding.
      guard squares > 0x1p-80 * Self.dot(whole, whole) else { continue }
      let length = squares.squareRoot()
      for index in row.indices { row[index] /= length }
      terms.right.append(row)
      terms.left.append(column.map { $0 * length })
    }
    return terms
  }

  /// Makes columns orthogonal by rotations of pairs, which rows follow (one-sided Jacobi; Hestenes,
  /// 1958).
  private mutating func rotate() {
    for _ in 0..<Self.sweeps {
      var isDone = true
      for i in left.indices {
        for j in left.indices.dropFirst(i + 1) {
          let (a, b) = (Self.dot(left[i], left[i]), Self.dot(left[j], left[j]))
          let both = Self.dot(left[i], left[j])
          guard both * both > 0x1p-90 * a * b else { continue }
          isDone = false
          let slope = (b - a) / (2 * both)
          let root = (1 + slope * slope).squareRoot()
          let tangent = slope < 0 ? -1 / (root - slope) : 1 / (root + slope)
          let cosine = 1 / (1 + tangent * tangent).squareRoot()
          Self.turn(&left, i, j, cosine, cosine * tangent)
          Self.turn(&right, i, j, cosine, cosine * tangent)
        }
      }
      if isDone { return }
    }
  }

  private static func turn(
    _ vectors: inout [[Double]],
    _ i: Int,
    _ j: Int,
    _ cosine: Double,
    _ sine: Double
  ) {
    for index in vectors[i].indices {
      let (x, y) = (vectors[i][index], vectors[j][index])
      vectors[i][index] = cosine * x - sine * y
      vectors[j][index] = sine * x + cosine * y
    }
  }

  private static func dot(_ a: [Double], _ b: [Double]) -> Double {
    var sum = 0.0
    for index in a.indices { sum += a[index] * b[index] }
    return sum
  }

  private static func add(_ more: [Double], times factor: Double, to sum: inout [Double]) {
    for index in sum.indices { sum[index] += factor * more[index] }
  }
}
