// Apache-2.0.

/// How sensitive a loss is to the product B·A of an adapter, by its singular values and vectors.
///
/// The importance of FedPipe (Fang et al., arXiv 2404.06448), that of AdaLoRA (Zhang et al.,
/// arXiv 2303.10512, section 3.2) for a product that is not kept as its decomposition: with
/// B·A = U Λ V and s(x) = |x · ∂L/∂x| a triplet counts s(λ) + mean s(U) + mean s(V). Everything that
/// is needed of ∂L/∂(B·A) is in the gradients of B and A. Binary64 in one order.
struct ProductSensitivity {
  /// The mean over the triplets.
  let value: Double

  /// The sensitivity of one adapter.
  ///
  /// - Parameters:
  ///   - a: A [rank, inputs] and its gradient.
  ///   - b: B [outputs, rank] and its gradient.
  init(
    rank: Int,
    a: (values: [Float], gradient: [Float]),
    b: (values: [Float], gradient: [Float])
  ) {
    let inputs = a.values.count / rank
    let outputs = b.values.count / rank
    let rows = (0..<rank).map { row in
      a.values[row * inputs..<(row + 1) * inputs].map(Double.init)
    }
    let lower = Self.cholesky(rows)
    // B·L: its singular values and left vectors are those of B·A.
    var turned = SmallMatrix(rows: outputs, columns: rank)
    for i in 0..<outputs {
      for k in 0..<rank {
        for j in k..<rank {
          turned[i, k] += Double(b.values[i * rank + j]) * lower[j, k]
        }
      }
    }
    let rotation = turned.orthogonalize()
    var sum = 0.0
    for triplet in 0..<rank {
      let length = turned.norm(ofColumn: triplet)
      guard length > 0 else { continue }
      // v = Aᵀ·c and u = B·e.
      let c = Self.backSubstituted(lower, rotation, column: triplet)
      var e = [Double](repeating: 0, count: rank)
      for i in 0..<rank {
        for k in 0...i { e[i] += lower[i, k] * rotation[k, triplet] / length }
      }
      var (slope, left) = (0.0, 0.0)
      for i in 0..<outputs {
        var pull = 0.0
        for j in 0..<rank { pull += Double(b.gradient[i * rank + j]) * c[j] }
        let u = turned[i, triplet] / length
        slope += u * pull
        left += abs(u * length * pull)
      }
      var right = 0.0
      for j in 0..<inputs {
        var (v, pull) = (0.0, 0.0)
        for k in 0..<rank {
          v += rows[k][j] * c[k]
          pull += Double(a.gradient[k * inputs + j]) * e[k]
        }
        right += abs(v * length * pull)
      }
      sum += abs(length * slope) + left / Double(outputs) + right / Double(inputs)
    }
    value = sum / Double(rank)
  }

  /// L with L·Lᵀ = A·Aᵀ; a row within the others counts as one of a small length of its own.
  private static func cholesky(_ rows: [[Double]]) -> SmallMatrix {
    var lower = SmallMatrix(rows: rows.count, columns: rows.count)
    for i in rows.indices {
      for j in 0...i {
        var sum = zip(rows[i], rows[j]).reduce(0) { $0 + $1.0 * $1.1 }
        let whole = sum
        for k in 0..<j { sum -= lower[i, k] * lower[j, k] }
        lower[i, j] =
          i == j
          ? max(sum, 1e-12 * max(whole, Double.leastNormalMagnitude)).squareRoot()
          : sum / lower[j, j]
      }
    }
    return lower
  }

  /// c with Lᵀ·c = a column of the rotation.
  private static func backSubstituted(
    _ lower: SmallMatrix,
    _ rotation: SmallMatrix,
    column: Int
  ) -> [Double] {
    var c = [Double](repeating: 0, count: lower.rows)
    for i in (0..<lower.rows).reversed() {
      var sum = rotation[i, column]
      for k in i + 1..<max(i + 1, lower.rows) { sum -= lower[k, i] * c[k] }
      c[i] = sum / lower[i, i]
    }
    return c
  }
}

/// A matrix of few columns.
private struct SmallMatrix {
  let rows: Int
  let columns: Int
  private var values: [Double]

  init(rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    values = [Double](repeating: 0, count: rows * columns)
  }

  subscript(row: Int, column: Int) -> Double {
    get { values[row * columns + column] }
    set { values[row * columns + column] = newValue }
  }

  func norm(ofColumn column: Int) -> Double { dot(column, column).squareRoot() }

  /// Makes the columns orthogonal by rotations of pairs (one-sided Jacobi) and returns their product.
  mutating func orthogonalize() -> SmallMatrix {
    var rotation = SmallMatrix(rows: columns, columns: columns)
    for index in 0..<columns { rotation[index, index] = 1 }
    for _ in 0..<40 {
      var isDone = true
      for i in 0..<columns {
        for j in i + 1..<max(i + 1, columns) {
          let (a, b, both) = (dot(i, i), dot(j, j), dot(i, j))
          guard both * both > 0x1p-90 * a * b else { continue }
          isDone = false
          let slope = (b - a) / (2 * both)
          let root = (1 + slope * slope).squareRoot()
          let tangent = slope < 0 ? -1 / (root - slope) : 1 / (root + slope)
          let cosine = 1 / (1 + tangent * tangent).squareRoot()
          turn(i, j, cosine, cosine * tangent)
          rotation.turn(i, j, cosine, cosine * tangent)
        }
      }
      if isDone { break }
    }
    return rotation
  }

  private func dot(_ i: Int, _ j: Int) -> Double {
    (0..<rows).reduce(0) { $0 + self[$1, i] * self[$1, j] }
  }

  private mutating func turn(_ i: Int, _ j: Int, _ cosine: Double, _ sine: Double) {
    for row in 0..<rows {
      let (x, y) = (self[row, i], self[row, j])
      self[row, i] = cosine * x - sine * y
      self[row, j] = sine * x + cosine * y
    }
  }
}
