// Apache-2.0.
import Codecs
import FederatedCore
import SharedRandomness
import Testing

@testable import FederatedAlgorithms

/// Vectors of several chunks, which threads share.
@Suite struct LongVectorTests {
  private static let count = 2 * DeltaCodec.chunkSize + 77

  /// What three clients send in each of two rounds.
  private static let ways: [[Int32]] = (0..<6 as Range<UInt32>).map { number in
    var stream = RandomStream(key: 7, purpose: .device, client: number)
    return (0..<count).map { _ in Int32(bitPattern: stream.next32()) >> 4 }
  }

  /// The integers after two rounds of three clients, of some elements of one long vector.
  private static func folded(
    _ name: String,
    _ more: [JSONValue.Member],
    _ elements: Range<Int>
  ) throws -> [Int32] {
    var session = try AlgorithmCatalog.start(algorithm: AlgorithmTests.dense(name, more), key: 1)
    let whole = 0..<elements.count
    try session.begin([ParameterBlock(name: "w", shape: [whole.count], range: whole)])
    for round in 0..<2 as Range<UInt32> {
      let contributions = (0..<3 as Range<UInt32>).map { client in
        var amounts = Array(ways[Int(3 * round + client)][elements])
        return Contribution(
          task: LocalTask(round: round, client: client, steps: 3 + Int(client)),
          weight: 20_000 + client,
          payload: DeltaCodec.fixed(bits: 32).encode(&amounts)
        )
      }
      for contribution in contributions {
        try session.check(contribution.payload, for: contribution.task)
      }
      try session.fold(contributions)
    }
    guard case .integers(let update)? = try session.weightUpdates().last else { return [] }
    return update.amounts
  }

  @Test(arguments: ["fedavg", "fedavgm", "fedadam", "fednova", "trimmed"])
  func `a long vector is folded as its pieces are`(_ name: String) throws {
    let isTrimmed = name == "trimmed"
    let more: [JSONValue.Member] =
      isTrimmed ? [.init("fold", .string("trimmed")), .init("trim", .number(0.4))] : []
    let name = isTrimmed ? "fedavg" : name
    let size = DeltaCodec.chunkSize
    let whole = try Self.folded(name, more, 0..<Self.count)
    let pieces = try [0..<size, size..<2 * size, 2 * size..<Self.count].flatMap {
      try Self.folded(name, more, $0)
    }
    #expect(whole.count == Self.count && whole.contains { $0 != 0 })
    #expect(whole == pieces)
  }

  @Test func `a damaged chunk is refused wherever it is`() throws {
    var session = try AlgorithmCatalog.start(algorithm: AlgorithmTests.dense("fedavg", []), key: 1)
    let all = 0..<Self.count
    try session.begin([ParameterBlock(name: "w", shape: [all.count], range: all)])
    var way = Self.ways[0]
    let payload = DeltaCodec.fixed(bits: 32).encode(&way)
    let task = LocalTask(round: 0, client: 0, steps: 1)
    try session.check(payload, for: task)
    // Behind the head of the payload: the length of the first chunk, then whether it is a frame.
    var damaged = payload
    damaged[8] = 2
    #expect(throws: (any Error).self) { try session.check(damaged, for: task) }
    #expect(throws: (any Error).self) { try session.check(payload.dropLast(1) + [], for: task) }
    try session.check(payload, for: task)
  }
}
