// Apache-2.0.
import GraphCompiler
import SharedRandomness
import Testing

@Suite("The memory plan")
struct MemoryPlanTests {
  @Test("Values alive at the same time never overlap", arguments: 1...40)
  func disjoint(seed: UInt64) {
    var stream = RandomStream(key: seed, purpose: .partition)
    let intervals = (0..<60).map { _ in
      let first = Int(stream.uniform(below: 50))
      return (
        bytes: Int(stream.uniform(below: 5000)), first: first,
        last: first + Int(stream.uniform(below: 12))
      )
    }
    let plan = MemoryPlan(intervals.map { .init(bytes: $0.bytes, first: $0.first, last: $0.last) })
    #expect(plan.arenaBytes >= plan.lowerBound)
    for (i, a) in intervals.enumerated() {
      #expect(plan.offsets[i] + a.bytes <= plan.arenaBytes)
      #expect(plan.offsets[i] % 64 == 0)
      for (j, b) in intervals.enumerated() where j < i {
        guard a.first <= b.last, b.first <= a.last else { continue }
        let apart =
          plan.offsets[i] + a.bytes <= plan.offsets[j]
          || plan.offsets[j] + b.bytes <= plan.offsets[i]
        #expect(apart, "\(i) and \(j), seed \(seed)")
      }
    }
  }

  @Test("A chain of equal values takes the memory of two")
  func chain() {
    let plan = MemoryPlan((0..<20).map { .init(bytes: 1000, first: $0, last: $0 + 1) })
    #expect(plan.lowerBound == 2 * 1024)
    #expect(plan.arenaBytes == plan.lowerBound)
  }

  @Test("The plan of a real block is within a tenth of its lower bound")
  func block() throws {
    for graph in [
      try RandomGraph.decoder(sequences: 4, positions: 32, seed: 1).graph,
      try RandomGraph.encoder(sequences: 4, positions: 32, seed: 1).graph,
    ] {
      let plan = ExecutionPlan(graph, threads: 1)
      #expect(plan.arenaBytes * 10 <= plan.lowerBound * 11, "\(plan)")
    }
  }
}
