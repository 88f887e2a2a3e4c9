// Apache-2.0.
import Datasets
import Testing

/// How simulated clients share out examples.
@Suite struct PartitionTests {
  static let groups = (0..<600).map { "g\($0 * 7 % 10)" }
  static let all: [Partition] = [
    .iid, .dirichlet(alpha: 0.1), .dirichlet(alpha: 100), .field, .shards(perClient: 2),
    .zipf(exponent: 1.2), .dualDirichlet(sizes: 1, alpha: 0.5), .classes(least: 3, most: 5),
  ]

  static func assign(_ partition: Partition, clients: Int = 10, key: UInt64 = 5) throws -> [[Int]] {
    try partition.assign(groups: groups, count: groups.count, clients: clients, key: key)
  }

  @Test(arguments: all)
  func `every example has one client and every client an example`(_ partition: Partition) throws {
    let parts = try Self.assign(partition)
    #expect(parts.count == 10)
    #expect(parts.allSatisfy { !$0.isEmpty && $0 == $0.sorted() })
    #expect(parts.flatMap { $0 }.sorted() == Array(0..<600))
  }

  @Test(arguments: all)
  func `the same key gives the same parts`(_ partition: Partition) throws {
    #expect(try Self.assign(partition) == Self.assign(partition))
    if partition != .field {
      #expect(try Self.assign(partition) != Self.assign(partition, key: 6))
    }
  }

  @Test func `IID parts differ by one example at most`() throws {
    let sizes = try Self.assign(.iid, clients: 7).map(\.count)
    #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1)
  }

  @Test func `by field a group has one client`() throws {
    for (client, part) in try Self.assign(.field).enumerated() {
      #expect(Set(part.map { Self.groups[$0] }) == ["g\(client)"])
    }
  }

  @Test func `shards hold few groups`() throws {
    for part in try Self.assign(.shards(perClient: 2)) {
      #expect(Set(part.map { Self.groups[$0] }).count <= 4)
    }
  }

  /// Sum over groups of the largest share that one client holds.
  static func concentration(_ alpha: Double) throws -> Double {
    let parts = try assign(.dirichlet(alpha: alpha))
    return (0..<10).reduce(0.0) { sum, group in
      let counts = parts.map { part in part.count { groups[$0] == "g\(group)" } }
      return sum + Double(counts.max() ?? 0) / 60
    }
  }

  @Test func `a small alpha concentrates groups, a large one spreads them`() throws {
    #expect(try Self.concentration(0.05) > 6)
    #expect(try Self.concentration(1000) < 2.5)
  }

  @Test func `a tiny alpha still leaves every client an example`() throws {
    let parts = try Self.assign(.dirichlet(alpha: 1e-3), clients: 50)
    #expect(parts.allSatisfy { !$0.isEmpty })
  }

  @Test func `sizes follow Zipf's law`() throws {
    let sizes = try Self.assign(.zipf(exponent: 1)).map(\.count).sorted(by: >)
    // 600 / (1 + 1/2 + … + 1/10) = 204.9.
    for (rank, size) in sizes.enumerated() {
      #expect(abs(Double(size) - 204.86 / Double(rank + 1)) <= 1)
    }
    #expect(
      try Partition.zipf(exponent: 1).assign(groups: [], count: 9, clients: 3, key: 0).count == 3
    )
    #expect(try Self.assign(.zipf(exponent: 0)).allSatisfy { $0.count == 60 })
  }

  @Test func `dual Dirichlet clients differ in size and in their mix`() throws {
    let parts = try Self.assign(.dualDirichlet(sizes: 1, alpha: 0.5))
    let sizes = parts.map(\.count)
    #expect((sizes.max() ?? 0) > 2 * (sizes.min() ?? 0))
    let even = try Self.assign(.dualDirichlet(sizes: 1e5, alpha: 1e5))
    #expect(even.allSatisfy { abs($0.count - 60) <= 5 })
    for part in even {
      for group in 0..<10 { #expect(abs(part.count { Self.groups[$0] == "g\(group)" } - 6) <= 1) }
    }
  }

  @Test func `class clients hold a few groups, and every group is held`() throws {
    for key in 0..<20 {
      let parts = try Self.assign(.classes(least: 3, most: 5), key: UInt64(key))
      for part in parts { #expect((3...5).contains(Set(part.map { Self.groups[$0] }).count)) }
    }
  }

  @Test func `samples are a client's own, each example once, and there may be any number`() throws {
    let shares = try ClientShares(sampling: 16, of: 600, clients: 1_000_000, key: 5)
    for client in [0, 1, 999_999] {
      let examples = shares.examples(of: client)
      #expect(examples.count == 16 && shares.exampleCount(of: client) == 16)
      #expect(Set(examples).count == 16 && examples == examples.sorted())
      #expect(examples.allSatisfy { (0..<600).contains($0) })
      #expect(examples == shares.examples(of: client))
    }
    #expect(shares.examples(of: 0) != shares.examples(of: 1))
    // Every example is as likely as any other.
    var counts = [Int](repeating: 0, count: 600)
    for client in 0..<6000 { for index in shares.examples(of: client) { counts[index] += 1 } }
    #expect(counts.allSatisfy { (110...210).contains($0) })
  }

  @Test func `shares hold what the partition gives`() throws {
    let shares = try ClientShares(.iid, groups: Self.groups, count: 600, clients: 7, key: 5)
    let parts = try Self.assign(.iid, clients: 7)
    #expect((0..<7).map { shares.examples(of: $0) } == parts)
    #expect((0..<7).map { shares.exampleCount(of: $0) } == parts.map(\.count))
  }

  @Test func `what cannot be shared out is refused`() {
    #expect(throws: DatasetError.self) { try Self.assign(.zipf(exponent: -1)) }
    #expect(throws: DatasetError.self) { try Self.assign(.dualDirichlet(sizes: 0, alpha: 1)) }
    #expect(throws: DatasetError.self) { try Self.assign(.classes(least: 5, most: 11)) }
    #expect(throws: DatasetError.self) { try Self.assign(.classes(least: 1, most: 1), clients: 9) }
    #expect(throws: DatasetError.self) {
      try ClientShares(sampling: 11, of: 10, clients: 1, key: 0)
    }
    #expect(throws: DatasetError.self) { try Self.assign(.iid, clients: 601) }
    #expect(throws: DatasetError.self) { try Self.assign(.field, clients: 11) }
    #expect(throws: DatasetError.self) { try Self.assign(.shards(perClient: 100)) }
    #expect(throws: DatasetError.self) { try Self.assign(.dirichlet(alpha: -1)) }
    #expect(throws: DatasetError.self) {
      try Partition.field.assign(groups: [], count: 10, clients: 2, key: 0)
    }
  }
}
