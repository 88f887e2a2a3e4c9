// Apache-2.0.
import Execution
import GraphCompiler
import SharedRandomness
import Tensors
import Testing

@Suite("The executor")
struct ExecutorTests {
  /// Outputs of a graph run on `threads`.
  private func run(
    _ random: RandomGraph,
    table: WeightTable? = nil,
    threads: Int = 1,
    epsilon: Float? = nil,
    direction: Direction? = nil
  ) throws -> [String: [Float]] {
    let workspace = Workspace(table ?? random.table(), team: ThreadTeam(threads: threads))
    let plan = try BoundPlan(ExecutionPlan(random.graph, threads: threads), in: workspace)
    for (name, values) in random.integers { try plan.set(name, integers: values) }
    if let direction { workspace.setDirection(direction) }
    plan.run(epsilon: epsilon)
    return [
      "logits": try plan.floats("logits"), "losses": try plan.floats("losses"),
      "predictions": try plan.integers("predictions").map { Float($0) },
    ]
  }

  private func expectClose(_ got: [Float]?, _ wanted: [Double]?, _ what: String) throws {
    let got = try #require(got)
    let wanted = try #require(wanted)
    #expect(got.count == wanted.count)
    let range = (wanted.max() ?? 0) - (wanted.min() ?? 0)
    let worst = zip(got, wanted).map { abs(Double($0) - $1) }.max() ?? 0
    #expect(worst <= 1e-5 * max(range, 1), "\(what): \(worst) of \(range)")
  }

  @Test(
    "Agrees with the definitions in binary64",
    arguments: [(1, 1), (1, 9), (3, 17), (4, 40)]
  )
  func agrees(sequences: Int, positions: Int) throws {
    for random in try Self.graphs(sequences, positions) {
      let got = try run(random)
      let wanted = try random.reference()
      try expectClose(got["losses"], wanted["losses"], "losses")
      #expect(got["predictions"]?.map(Double.init) == wanted["predictions"])
      // Logits past a sequence's length mean nothing, yet both sides define them.
      try expectClose(got["logits"], wanted["logits"], "logits")
    }
  }

  @Test("Gives the same bits on 1, 2 and 4 threads")
  func threads() throws {
    for random in try Self.graphs(5, 33) {
      let one = try run(random, threads: 1)
      for threads in [2, 4] {
        let other = try run(random, threads: threads)
        for (name, values) in one {
          #expect(values.map(\.bitPattern) == other[name]?.map(\.bitPattern), "\(name)")
        }
      }
    }
  }

  @Test("Perturbs every trainable weight as it is loaded, and nothing else")
  func perturbed() throws {
    let direction = Direction(
      bank: DirectionBank(family: .hadamard(log2Count: 6), key: 3, epoch: 0),
      index: 21
    )
    let epsilon: Float = 0.01
    for random in try Self.graphs(2, 11) {
      for trainable in [random.names, ["embed", "q.b", "head.b", "1.norm"], []] {
        let table = random.table(trainable: trainable.intersection(random.names))
        var signs = [UInt64](repeating: 0, count: (table.trainableCount + 127) / 128 * 2)
        var span = signs.mutableSpan
        direction.bank.fillSigns(
          direction.index,
          elements: 0..<table.trainableCount,
          into: &span
        )
        var starts: [String: Int] = [:]
        var next = 0
        for (name, shape) in table.trainable {
          starts[name] = next
          next += shape.elementCount
        }
        for signed in [epsilon, -epsilon] {
          let got = try run(random, table: table, epsilon: signed, direction: direction)
          let wanted = try random.reference { name, index in
            guard let start = starts[name] else { return 0 }
            let element = start + index
            return signs[element / 64] >> UInt64(element % 64) & 1 == 1 ? -signed : signed
          }
          try expectClose(got["losses"], wanted["losses"], "losses of \(trainable.count)")
          try expectClose(got["logits"], wanted["logits"], "logits of \(trainable.count)")
        }
      }
    }
  }

  @Test("A prefix and a suffix compute what the whole does, bit for bit")
  func split() throws {
    for random in try Self.graphs(3, 12) {
      let whole = try run(random)
      let choices = [["1.gate"], ["head", "head.b"], ["outer"], ["embed"]]
      for trainable in choices where !random.names.isDisjoint(with: trainable) {
        let split = GraphSplit(random.graph) { trainable.contains($0) }
        let workspace = Workspace(random.table(), team: ThreadTeam(threads: 1))
        let prefix = try BoundPlan(ExecutionPlan(split.prefix, threads: 1), in: workspace)
        let suffix = try BoundPlan(ExecutionPlan(split.suffix, threads: 1), in: workspace)
        func set(_ plan: BoundPlan) throws {
          for (name, values) in random.integers
          where plan.plan.graph.inputs.contains(where: { $0.name == name }) {
            try plan.set(name, integers: values)
          }
        }
        try set(prefix)
        prefix.run()
        let boundary = try split.boundary.map { ($0, try prefix.floats($0)) }
        try set(suffix)
        for (name, values) in boundary { try suffix.set(name, floats: values) }
        suffix.run()
        #expect(try suffix.floats("losses") == whole["losses"], "\(trainable)")
        #expect(try suffix.floats("logits") == whole["logits"], "\(trainable)")
      }
    }
  }

  @Test("Weights move to a version and along a direction as the definitions say")
  func moves() throws {
    let random = try RandomGraph.decoder(sequences: 1, positions: 4, seed: 5)
    let table = random.table(trainable: ["0.norm", "1.q", "embed"])
    let workspace = Workspace(table, team: ThreadTeam(threads: 2))
    let bank = DirectionBank(family: .independent, key: 9, epoch: 1)
    workspace.form(
      BankReplay(bank, terms: [(direction: 4, amount: 1000), (direction: 7, amount: -250)]),
      scaleExponent: 16,
      isFromBase: true
    )
    let direction = Direction(bank: bank, index: 7)
    workspace.setDirection(direction)
    workspace.move(by: 0.5)
    var rows: [[UInt64]] = []
    for index in [UInt32(4), 7] {
      var signs = [UInt64](repeating: 0, count: (table.trainableCount + 127) / 128 * 2)
      var span = signs.mutableSpan
      bank.fillSigns(index, elements: 0..<table.trainableCount, into: &span)
      rows.append(signs)
    }
    var element = 0
    for (name, _) in table.trainable {
      let base = try #require(random.parameters[name])
      let got = try #require(workspace.weights(of: name))
      for (index, value) in base.enumerated() {
        let signs = rows.map { $0[element / 64] >> UInt64(element % 64) & 1 == 1 ? -1 : 1 }
        let moved = Float(Double(value) + Double(1000 * signs[0] - 250 * signs[1]) / 65536)
        #expect(got[index] == moved + 0.5 * Float(signs[1]), "\(name) \(index)")
        element += 1
      }
    }
  }

  @Test("A missing or misshapen parameter is named")
  func missing() throws {
    let random = try RandomGraph.decoder(sequences: 1, positions: 4, seed: 5)
    let other = try RandomGraph.encoder(sequences: 1, positions: 4, seed: 5)
    let workspace = Workspace(other.table(), team: ThreadTeam(threads: 1))
    let error = #expect(throws: ExecutionError.self) {
      try BoundPlan(ExecutionPlan(random.graph, threads: 1), in: workspace)
    }
    #expect(error == .parameterShape("embed", expected: "[19, 24]", found: "[19, 15]"))
  }

  private static func graphs(_ sequences: Int, _ positions: Int) throws -> [RandomGraph] {
    [
      try RandomGraph.decoder(sequences: sequences, positions: positions, seed: 1),
      try RandomGraph.encoder(sequences: sequences, positions: positions, seed: 2),
    ]
  }
}
