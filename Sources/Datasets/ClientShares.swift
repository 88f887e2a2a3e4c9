// Apache-2.0.
import SharedRandomness

/// Which examples of one data set each simulated client holds, in a few bytes a client.
public struct ClientShares: Sendable {
  private enum Form {
    /// Client c holds `indices[starts[c]..<starts[c + 1]]`.
    case parts(starts: [Int32], indices: [Int32])
    /// So many of all `total` examples each, drawn when they are asked for.
    case samples(perClient: Int, total: Int, key: UInt64)
  }

  /// Clients.
  public let count: Int
  private let form: Form

  /// The shares of a partition, which gives every example to one client.
  ///
  /// - Throws: `DatasetError.partition`.
  public init(
    _ partition: Partition,
    groups: [String],
    count examples: Int,
    clients: Int,
    key: UInt64
  ) throws(DatasetError) {
    let parts = try partition.assign(groups: groups, count: examples, clients: clients, key: key)
    var starts: [Int32] = [0]
    for part in parts { starts.append(starts[starts.count - 1] + Int32(part.count)) }
    count = clients
    form = .parts(starts: starts, indices: parts.flatMap { $0.map { Int32($0) } })
  }

  /// Shares of `perClient` examples, drawn at random for every client anew: clients may outnumber
  /// examples.
  ///
  /// - Throws: `DatasetError.partition` where there are fewer examples than that.
  public init(
    sampling perClient: Int,
    of examples: Int,
    clients: Int,
    key: UInt64
  ) throws(DatasetError) {
    guard perClient >= 1, perClient <= examples else {
      throw .partition("samples of \(perClient) from \(examples) examples")
    }
    count = clients
    form = .samples(perClient: perClient, total: examples, key: key)
  }

  /// Examples of a client.
  public func exampleCount(of client: Int) -> Int {
    switch form {
    case .parts(let starts, _): Int(starts[client + 1] - starts[client])
    case .samples(let perClient, _, _): perClient
    }
  }

  /// Positions of a client's examples, ascending, each once.
  public func examples(of client: Int) -> [Int] {
    switch form {
    case .parts(let starts, let indices):
      return indices[Int(starts[client])..<Int(starts[client + 1])].map { Int($0) }
    case .samples(let perClient, let total, let key):
      var stream = RandomStream(key: key, purpose: .partition, client: UInt32(client), step: 8)
      // Floyd's algorithm: as many draws as examples, however many there are to choose from.
      var chosen: [Int] = []
      for bound in total - perClient..<total {
        let index = Int(stream.uniform(below: UInt32(bound + 1)))
        chosen.append(chosen.contains(index) ? bound : index)
      }
      return chosen.sorted()
    }
  }
}
