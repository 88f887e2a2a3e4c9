// Apache-2.0.
import Glibc
import SharedRandomness
import Testing

@testable import Datasets

/// Draws whose bits do not depend on a library of mathematics.
@Suite struct GammaDistributionTests {
  @Test func `logarithm and exponential agree with the C library`() {
    for step in 1...2000 {
      let x = Double(step) * 0.37e-3 * Double(step)
      #expect(abs(GammaDistribution.logarithm(x) - log(x)) <= 4e-16 * max(1, abs(log(x))))
      let y = -Double(step) * 0.3
      let expected = exp(y)
      #expect(abs(GammaDistribution.exponential(y) - expected) <= 1e-13 * expected)
    }
    #expect(GammaDistribution.exponential(0) == 1)
    #expect(GammaDistribution.exponential(-1e9) == 0)
  }

  @Test(arguments: [0.1, 0.5, 1, 3.5])
  func `mean and variance of draws are the shape`(_ shape: Double) {
    var stream = RandomStream(key: 9, purpose: .partition)
    let distribution = GammaDistribution(shape: shape)
    let draws = (0..<20_000).map { _ in exp(distribution.logarithmOfDraw(&stream)) }
    let mean = draws.reduce(0, +) / 20_000
    let variance = draws.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20_000
    #expect(abs(mean - shape) < 0.05 * shape + 0.01)
    #expect(abs(variance - shape) < 0.12 * shape + 0.02)
  }

  @Test func `shares sum to one, even of a tiny shape`() {
    for shape in [1e-3, 0.1, 10] {
      var stream = RandomStream(key: 1, purpose: .partition)
      let shares = GammaDistribution(shape: shape).dirichlet(100, &stream)
      #expect(abs(shares.reduce(0, +) - 1) < 1e-12)
      #expect(shares.allSatisfy { $0 >= 0 })
    }
  }
}
