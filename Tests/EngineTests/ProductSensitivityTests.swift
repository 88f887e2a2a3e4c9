// Apache-2.0.
import SharedRandomness
import Testing

@testable import FineTuning

@Suite("How sensitive a loss is to an adapter")
struct ProductSensitivityTests {
  private static func drawn(_ count: Int, _ stream: inout RandomStream) -> [Float] {
    (0..<count).map { _ in Float(Int32(stream.uniform(below: 2001)) - 1000) / 1000 }
  }

  /// C = A·B of row-major matrices.
  private static func times(_ a: [Float], _ b: [Float], inner: Int) -> [Float] {
    let (rows, columns) = (a.count / inner, b.count / inner)
    return (0..<rows * columns).map { index in
      (0..<inner).reduce(0) {
        $0 + a[index / columns * inner + $1] * b[$1 * columns + index % columns]
      }
    }
  }

  private static func turned(_ a: [Float], columns: Int) -> [Float] {
    (0..<a.count).map { a[$0 % (a.count / columns) * columns + $0 / (a.count / columns)] }
  }

  /// The sensitivity of an adapter where the slope of the loss along the product is `slope`.
  private static func value(rank: Int, _ a: [Float], _ b: [Float], _ slope: [Float]) -> Double {
    let inputs = a.count / rank
    let slopeB = times(slope, turned(a, columns: inputs), inner: inputs)
    let slopeA = times(turned(b, columns: rank), slope, inner: b.count / rank)
    return ProductSensitivity(rank: rank, a: (a, slopeA), b: (b, slopeB)).value
  }

  @Test func `one rank counts what its formula says`() {
    // u = (0.6, 0.8), λ = 10, v = (1, 0, 0): slopes along u, λ and v by hand.
    let found = Self.value(rank: 1, [2, 0, 0], [3, 4], [1, 2, 3, -1, 5, 0.5])
    // λ: 10 · |0.6 · 1 − 0.8| = 2; u: 10 · (0.6 + 0.8) / 2 = 7; v: 10 · 0.2 / 3.
    #expect(abs(found - (2 + 7 + 2.0 / 3)) < 1e-5)
  }

  @Test(arguments: [2, 3, 5])
  func `it belongs to the product, not to its factors`(_ rank: Int) {
    var stream = RandomStream(key: UInt64(rank), purpose: .partition)
    let (inputs, outputs) = (7, 6)
    let a = Self.drawn(rank * inputs, &stream)
    let b = Self.drawn(outputs * rank, &stream)
    let slope = Self.drawn(outputs * inputs, &stream)
    let found = Self.value(rank: rank, a, b, slope)
    // B·M⁻¹ and M·A with M unit lower triangular, whose inverse is made by substitution.
    var lower = [Float](repeating: 0, count: rank * rank)
    var inverse = lower
    for i in 0..<rank {
      for j in 0..<i { lower[i * rank + j] = Float(i + j + 1) / 4 }
      lower[i * rank + i] = 1
      for j in 0...i {
        let sum = (j..<max(j, i)).reduce(Float(i == j ? 1 : 0)) {
          $0 - lower[i * rank + $1] * inverse[$1 * rank + j]
        }
        inverse[i * rank + j] = sum
      }
    }
    let other = Self.value(
      rank: rank,
      Self.times(lower, a, inner: rank),
      Self.times(b, inverse, inner: rank),
      slope
    )
    #expect(found > 0 && abs(other - found) < 1e-3 * found, "\(found) \(other)")
  }

  @Test func `a fresh adapter and one whose rows are equal count finite numbers`() {
    let slope = [Float](repeating: 1, count: 6)
    #expect(Self.value(rank: 2, [1, 2, 3, 4, 5, 6], [0, 0, 0, 0], slope) == 0)
    #expect(Self.value(rank: 2, [1, 2, 3, 1, 2, 3], [1, 2, 3, 4], slope).isFinite)
    #expect(Self.value(rank: 2, [0, 0, 0, 0, 0, 0], [1, 2, 3, 4], slope).isFinite)
  }
}
