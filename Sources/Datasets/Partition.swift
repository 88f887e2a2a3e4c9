// Apache-2.0.
import SharedRandomness

/// How simulated clients share out the examples of one file.
///
/// A pure function of its arguments and the key: the same on every machine, and each client's
/// examples keep the order of the file.
public enum Partition: Sendable, Equatable {
  /// At random, in equal numbers (they differ by one at most).
  case iid
  /// By group, each group in proportions of its own, drawn from a symmetric Dirichlet distribution
  /// (Hsu, Qi and Brown, 2019): the smaller `alpha`, the fewer clients hold a group.
  case dirichlet(alpha: Double)
  /// A group belongs to one client: the groups in bytewise order are dealt out in turn.
  case field
  /// The examples sorted by group are cut into shards, and each client gets `perClient` at random
  /// (McMahan et al., 2017).
  case shards(perClient: Int)
  /// At random, the nth largest client with a share proportional to n^-exponent (Zipf's law); which
  /// client is the nth is drawn.
  case zipf(exponent: Double)
  /// Sizes of clients from one Dirichlet distribution, the mix of groups within each from another:
  /// the "dual Dirichlet" of FedCompass (Li et al., 2024).
  case dualDirichlet(sizes: Double, alpha: Double)
  /// Every client holds between `least` and `most` groups, drawn until each group has a client; a
  /// group is split in proportions near to equal (the class partition of FedCompass).
  case classes(least: Int, most: Int)

  /// Positions of each client's examples, ascending; every example belongs to one client and every
  /// client has one at the least.
  ///
  /// - Parameters:
  ///   - groups: of each example, where the partition goes by them.
  ///   - count: examples.
  ///   - clients: clients.
  ///   - key: Philox key.
  /// - Throws: `DatasetError.partition` where that cannot be.
  public func assign(
    groups: [String],
    count: Int,
    clients: Int,
    key: UInt64
  ) throws(DatasetError) -> [[Int]] {
    guard clients >= 1, count >= clients else {
      throw .partition("\(count) examples cannot be shared out to \(clients) clients")
    }
    guard !goesByGroup || groups.count == count else {
      throw .partition("\(groups.count) groups for \(count) examples; name the field to go by")
    }
    var parts =
      switch self {
      case .iid: Self.iid(count, clients, key)
      case .dirichlet(let alpha): try Self.dirichlet(groups, clients, alpha, key)
      case .field: try Self.byField(groups, clients)
      case .shards(let perClient): try Self.shards(groups, clients, perClient, key)
      case .zipf(let exponent): try Self.zipf(count, clients, exponent, key)
      case .dualDirichlet(let sizes, let alpha):
        try Self.dualDirichlet(groups, clients, sizes, alpha, key)
      case .classes(let least, let most): try Self.classes(groups, clients, least...most, key)
      }
    Self.fillEmpty(&parts)
    return parts.map { $0.sorted() }
  }

  /// Whether it looks at the groups of examples.
  public var goesByGroup: Bool {
    switch self {
    case .iid, .zipf: false
    case .dirichlet, .field, .shards, .dualDirichlet, .classes: true
    }
  }

  static func stream(_ key: UInt64, _ use: UInt32, _ group: Int = 0) -> RandomStream {
    RandomStream(key: key, purpose: .partition, client: UInt32(group), step: use)
  }

  private static func iid(_ count: Int, _ clients: Int, _ key: UInt64) -> [[Int]] {
    var stream = stream(key, 0)
    let order = stream.permutation(of: count)
    return (0..<clients).map { Array(order[cut(count, clients, $0)]) }
  }

  private static func byField(
    _ groups: [String],
    _ clients: Int
  ) throws(DatasetError) -> [[Int]] {
    let members = members(groups)
    guard members.count >= clients else {
      throw .partition("\(members.count) values of the field for \(clients) clients")
    }
    var parts = [[Int]](repeating: [], count: clients)
    for (index, group) in members.enumerated() { parts[index % clients] += group }
    return parts
  }

  private static func shards(
    _ groups: [String],
    _ clients: Int,
    _ perClient: Int,
    _ key: UInt64
  ) throws(DatasetError) -> [[Int]] {
    let sorted = members(groups).flatMap { $0 }
    let (shards, overflow) = clients.multipliedReportingOverflow(by: perClient)
    guard perClient >= 1, !overflow, sorted.count >= shards else {
      throw .partition("\(sorted.count) examples for \(clients) clients of \(perClient) shards")
    }
    var stream = stream(key, 1)
    let order = stream.permutation(of: shards)
    return (0..<clients).map { client in
      (0..<perClient).flatMap { sorted[cut(sorted.count, shards, order[client * perClient + $0])] }
    }
  }

  private static func dirichlet(
    _ groups: [String],
    _ clients: Int,
    _ alpha: Double,
    _ key: UInt64
  ) throws(DatasetError) -> [[Int]] {
    guard alpha > 0, alpha.isFinite else { throw .partition("alpha \(alpha) must be positive") }
    var parts = [[Int]](repeating: [], count: clients)
    for (index, members) in members(groups).enumerated() {
      var draws = stream(key, 2, index)
      let shares = GammaDistribution(shape: alpha).dirichlet(clients, &draws)
      deal(members, by: shares, to: &parts, group: index, key)
    }
    return parts
  }

  /// Deals the examples of one group out at random in proportion to `shares`, of sum 1.
  static func deal(
    _ members: [Int],
    by shares: [Double],
    to parts: inout [[Int]],
    group index: Int,
    _ key: UInt64
  ) {
    var shuffle = stream(key, 3, index)
    let order = shuffle.permutation(of: members.count)
    var (start, sum) = (0, 0.0)
    for client in shares.indices {
      sum += shares[client]
      let isLast = client == shares.count - 1
      let end =
        isLast ? members.count : min(members.count, Int((sum * Double(members.count)).rounded()))
      parts[client] += order[start..<max(start, end)].map { members[$0] }
      start = max(start, end)
    }
  }

  /// Gives each client that has nothing one example of the client that has most, the first of these.
  private static func fillEmpty(_ parts: inout [[Int]]) {
    for client in parts.indices where parts[client].isEmpty {
      var richest = 0
      for other in parts.indices where parts[other].count > parts[richest].count { richest = other }
      parts[client].append(parts[richest].removeLast())
    }
  }

  /// Positions of the examples of each group, groups in bytewise order.
  static func members(_ groups: [String]) -> [[Int]] {
    var positions: [String: [Int]] = [:]
    for (index, group) in groups.enumerated() { positions[group, default: []].append(index) }
    return positions.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map(\.value)
  }

  /// The `index`th of `pieces` nearly equal pieces of 0..<count.
  private static func cut(_ count: Int, _ pieces: Int, _ index: Int) -> Range<Int> {
    count * index / pieces..<count * (index + 1) / pieces
  }
}
