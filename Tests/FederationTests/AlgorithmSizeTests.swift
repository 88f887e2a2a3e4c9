// Apache-2.0.
import Codecs
import FederatedAlgorithms
import FederatedCore
import SharedRandomness
import Testing

@Suite struct AlgorithmSizeTests {
  /// Pro is published with 1024 seeds; its history costs as much as the accumulators.
  @Test(arguments: [("uniform", 4096), ("pro", 1024)])
  func `a newcomer after forty rounds gets a short snapshot`(
    probability: String,
    seeds: Int64
  ) throws {
    var session = try AlgorithmCatalog.start(
      algorithm: .object([
        .init("name", .string("fedkseed")),
        .init("seeds", .integer(seeds)),
        .init("probability", .string(probability)),
      ]),
      key: 1
    )
    for round in UInt32(0)..<40 {
      var contributions: [Contribution] = []
      for client in UInt32(0)..<10 {
        // Scalars of 0.1 to 32 with either sign, as language models give at batch 1.
        var stream = RandomStream(key: 2, purpose: .device, round: round, client: client)
        let payload = (0..<200).map { _ in
          UInt8(40 + stream.uniform(below: 50)) | UInt8(stream.uniform(below: 2)) << 7
        }
        let task = LocalTask(round: round, client: client, steps: 200)
        contributions.append(
          Contribution(task: task, weight: client < 6 ? 6554 : 6553, payload: payload)
        )
      }
      try session.fold(contributions)
    }
    #expect(try session.weightUpdates().count == 1)
    let size = session.snapshot().count
    #expect(size <= 13_000, "\(size) bytes")
  }
}
