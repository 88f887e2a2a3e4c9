// Apache-2.0.
// `squareRoot` links against the C library's.
import Glibc
import SharedRandomness

/// Draws from a gamma distribution with bits that are the same on every machine.
///
/// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000). Everything is
/// IEEE-754 additions, multiplications, divisions and square roots in a fixed order: the logarithm
/// and the exponential are computed here, since those of C libraries differ in their last bits.
struct GammaDistribution {
  let shape: Double

  /// Shares of a symmetric Dirichlet distribution: positive or zero, of sum 1 up to rounding.
  func dirichlet(_ count: Int, _ stream: inout RandomStream) -> [Double] {
    Self.dirichlet([Double](repeating: shape, count: count), &stream)
  }

  /// Shares of a Dirichlet distribution with a positive concentration each.
  static func dirichlet(_ shapes: [Double], _ stream: inout RandomStream) -> [Double] {
    // By logarithms: for small shapes the draws themselves are below the least double.
    let logarithms = shapes.map { GammaDistribution(shape: $0).logarithmOfDraw(&stream) }
    let greatest = logarithms.max() ?? 0
    let draws = logarithms.map { exponential($0 - greatest) }
    let sum = draws.reduce(0, +)
    return draws.map { $0 / sum }
  }

  /// ln of a draw.
  func logarithmOfDraw(_ stream: inout RandomStream) -> Double {
    guard shape >= 1 else {
      // Gamma(a) = Gamma(a + 1) · U^(1/a).
      let draw = GammaDistribution(shape: shape + 1).logarithmOfDraw(&stream)
      return draw + Self.logarithm(Self.uniform(&stream)) / shape
    }
    let d = shape - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let x = Self.normal(&stream)
      let root = 1 + c * x
      guard root > 0 else { continue }
      let v = root * root * root
      let u = Self.uniform(&stream)
      if Self.logarithm(u) < 0.5 * x * x + d - d * v + d * Self.logarithm(v) {
        return Self.logarithm(d) + Self.logarithm(v)
      }
    }
  }

  /// Above 0 and below 1, a multiple of 2^−53 and a half.
  private static func uniform(_ stream: inout RandomStream) -> Double {
    (Double(stream.next() >> 12) + 0.5) * 0x1p-52
  }

  /// Marsaglia's polar method.
  static func normal(_ stream: inout RandomStream) -> Double {
    while true {
      let x = 2 * uniform(&stream) - 1
      let y = 2 * uniform(&stream) - 1
      let s = x * x + y * y
      if s > 0, s < 1 { return x * (-2 * logarithm(s) / s).squareRoot() }
    }
  }

  private static let ln2 = 0.693_147_180_559_945_3

  /// ln x of a positive normal number, good to some 1e−15 of itself or of 1.
  static func logarithm(_ x: Double) -> Double {
    var exponent = x.exponent
    var m = x.significand
    if m > 1.414_213_562_373_095 {
      m /= 2
      exponent += 1
    }
    // ln m = 2 artanh s, |s| ≤ 0.1716.
    let s = (m - 1) / (m + 1)
    let square = s * s
    var sum = 0.0
    for power in stride(from: 23, through: 1, by: -2) { sum = sum * square + 1 / Double(power) }
    return Double(exponent) * ln2 + 2 * s * sum
  }

  /// e to a number of at most 0; zero where that is below the normal numbers.
  static func exponential(_ x: Double) -> Double {
    guard x > -700 else { return 0 }
    let power = (x / ln2).rounded()
    let rest = x - power * ln2
    var sum = 1.0
    for term in stride(from: 18, through: 1, by: -1) { sum = 1 + sum * rest / Double(term) }
    return sum * Double(sign: .plus, exponent: Int(power), significand: 1)
  }
}
