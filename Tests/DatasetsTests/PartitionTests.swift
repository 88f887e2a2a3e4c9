// Apache-2.0.
import Datasets
import Testing

/// How simulated clients share out examples.
@Suite struct PartitionTests {
  static let groups = (0..<600).map { "g\($0 * 7 % 10)" }
  static let all: [Partition] = [
    .iid, .dirichlet(alpha: 0.1), .dirichlet(alpha: 100), .field, .shards(perClient: 2),
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

  @Test func `what cannot be shared out is refused`() {
    #expect(throws: DatasetError.self) { try Self.assign(.iid, clients: 601) }
    #expect(throws: DatasetError.self) { try Self.assign(.field, clients: 11) }
    #expect(throws: DatasetError.self) { try Self.assign(.shards(perClient: 100)) }
    #expect(throws: DatasetError.self) { try Self.assign(.dirichlet(alpha: -1)) }
    #expect(throws: DatasetError.self) {
      try Partition.field.assign(groups: [], count: 10, clients: 2, key: 0)
    }
  }
}
