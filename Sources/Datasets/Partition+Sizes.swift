// Apache-2.0.
import SharedRandomness

/// Partitions in which clients differ by how much they hold.
extension Partition {
  static func zipf(
    _ count: Int,
    _ clients: Int,
    _ exponent: Double,
    _ key: UInt64
  ) throws(DatasetError) -> [[Int]] {
    guard exponent >= 0, exponent.isFinite else {
      throw .partition("exponent \(exponent) must be zero or more")
    }
    var ranks = stream(key, 4)
    let shares = ranks.permutation(of: clients).map { rank in
      GammaDistribution.exponential(-exponent * GammaDistribution.logarithm(Double(rank + 1)))
    }
    let sum = shares.reduce(0, +)
    var parts = [[Int]](repeating: [], count: clients)
    deal(Array(0..<count), by: shares.map { $0 / sum }, to: &parts, group: 0, key)
    return parts
  }

  /// A client of share s and mix m holds of group g in proportion to s · m[g].
  static func dualDirichlet(
    _ groups: [String],
    _ clients: Int,
    _ sizes: Double,
    _ alpha: Double,
    _ key: UInt64
  ) throws(DatasetError) -> [[Int]] {
    guard sizes > 0, sizes.isFinite, alpha > 0, alpha.isFinite else {
      throw .partition("size_alpha \(sizes) and alpha \(alpha) must be positive")
    }
    let members = members(groups)
    let prior = members.map { alpha * Double($0.count) / Double(groups.count) }
    var draws = stream(key, 5)
    let shares = GammaDistribution(shape: sizes).dirichlet(clients, &draws)
    let mixes = (0..<clients).map { client in
      var draws = stream(key, 6, client)
      return GammaDistribution.dirichlet(prior, &draws)
    }
    var parts = [[Int]](repeating: [], count: clients)
    for (index, members) in members.enumerated() {
      let wanted = (0..<clients).map { shares[$0] * mixes[$0][index] }
      let sum = wanted.reduce(0, +)
      // Where nobody wants a group, everybody gets of it.
      let part = wanted.map { sum > 0 ? $0 / sum : 1 / Double(clients) }
      deal(members, by: part, to: &parts, group: index, key)
    }
    return parts
  }

  /// Each client's groups, and each group's examples split by draws from a normal distribution of
  /// mean 10 and variance 3.
  static func classes(
    _ groups: [String],
    _ clients: Int,
    _ range: ClosedRange<Int>,
    _ key: UInt64
  ) throws(DatasetError) -> [[Int]] {
    let members = members(groups)
    guard range.lowerBound >= 1, range.upperBound <= members.count,
      range.upperBound * clients >= members.count
    else {
      throw .partition(
        "\(clients) clients of \(range.lowerBound) to \(range.upperBound) groups "
          + "for \(members.count) groups"
      )
    }
    var draws = stream(key, 7)
    var holders = [[Int]](repeating: [], count: members.count)
    for _ in 0..<1 << 10 {
      holders = [[Int]](repeating: [], count: members.count)
      for client in 0..<clients {
        let count = range.lowerBound + Int(draws.uniform(below: UInt32(range.count)))
        for group in draws.permutation(of: members.count).prefix(count) {
          holders[group].append(client)
        }
      }
      if holders.allSatisfy({ !$0.isEmpty }) { break }
    }
    var parts = [[Int]](repeating: [], count: clients)
    for (index, members) in members.enumerated() {
      guard !holders[index].isEmpty else {
        throw .partition("no draw gave every group a client; give clients more groups")
      }
      var shares = [Double](repeating: 0, count: clients)
      for client in holders[index] {
        shares[client] = max(1, 10 + 3.0.squareRoot() * GammaDistribution.normal(&draws))
      }
      let sum = shares.reduce(0, +)
      deal(members, by: shares.map { $0 / sum }, to: &parts, group: index, key)
    }
    return parts
  }
}
