// Apache-2.0.
import Execution
import GraphCompiler
import SharedRandomness
import Tensors
import Testing

@Suite("Gradients")
struct GradientTests {
  /// What each loss counts: different for each, so that a mixed-up row shows.
  private static func lossGradients(_ count: Int) -> [Float] {
    (0..<count).map { 0.25 + Float($0 * 7 % 11) / 16 }
  }

  /// Σ loss · weight of a graph at shifted parameters.
  private static func loss(
    _ random: RandomGraph,
    _ shift: (String, Int) -> Double
  ) throws -> Double {
    let losses = try #require(try random.reference(exactly: shift)["losses"])
    return zip(losses, lossGradients(losses.count)).reduce(0) { $0 + $1.0 * Double($1.1) }
  }

  /// Gradients by the definitions.
  private static func gradients(
    _ random: RandomGraph,
    isTrainable: (String) -> Bool = { _ in true }
  ) throws -> [String: [Double]] {
    let training = try TrainingGraph(random.graph, isTrainable: isTrainable, ending: .gradients)
    var inputs = random.integers.mapValues { $0.map(Double.init) }
    let count = inputs["labels"]?.count ?? 0
    inputs[TrainingGraph.lossGradients] = lossGradients(count).map(Double.init)
    let outputs = try ReferenceInterpreter(training.graph).run(
      inputs: inputs,
      parameters: random.parameters.mapValues { $0.map(Double.init) }
    )
    return Dictionary(
      uniqueKeysWithValues: outputs.compactMap { name, values in
        name.hasPrefix("gradient.") ? (String(name.dropFirst(9)), values) : nil
      }
    )
  }

  @Test("Equal central differences of the loss along random directions, for every parameter")
  func finiteDifferences() throws {
    let step = 1e-5
    let plain = try RandomGraph.all(2, 7)
    let adapters = Adapters(rank: 3, alpha: 6)
    let adapted = plain.map { $0.adapted(adapters) { ["1.q", "inner", "0.down"].contains($0) } }
    #expect(adapted.allSatisfy { $0.names.contains { Adapters.isPart($0) } })
    for random in plain + adapted {
      let gradients = try Self.gradients(random)
      #expect(Set(gradients.keys) == random.names)
      for name in random.names.sorted() {
        let gradient = try #require(gradients[name])
        for seed in 0..<2 {
          var stream = RandomStream(key: UInt64(seed), purpose: .partition)
          let direction = gradient.map { _ in Double(stream.uniform(below: 2001)) / 1000 - 1 }
          func at(_ sign: Double) throws -> Double {
            try Self.loss(random) { $0 == name ? sign * step * direction[$1] : 0 }
          }
          let slope = (try at(1) - at(-1)) / (2 * step)
          let product = zip(gradient, direction).reduce(0) { $0 + $1.0 * $1.1 }
          let size = gradient.reduce(0) { $0 + abs($1) }
          #expect(abs(slope - product) <= 1e-7 * (1 + size), "\(name): \(slope), \(product)")
        }
      }
    }
  }

  @Test("The executor agrees with the definitions", arguments: [(1, 1), (3, 17), (4, 40)])
  func executor(sequences: Int, positions: Int) throws {
    for random in try RandomGraph.all(sequences, positions) {
      let wanted = try Self.gradients(random)
      let got = try Self.run(random)
      #expect(wanted.keys.count == got.keys.count)
      for (name, values) in wanted {
        let found = try #require(got[name])
        let size = values.reduce(0) { max($0, abs($1)) }
        let worst = zip(found, values).map { abs(Double($0) - $1) }.max() ?? 0
        #expect(worst <= 2e-5 * max(size, 1e-3), "\(name): \(worst) of \(size)")
      }
    }
  }

  @Test("Rows without labels take part in nothing, wherever they lie")
  func skippedRows() throws {
    var builder = GraphBuilder()
    let count = 700
    let ids = builder.input("input_ids", ValueType([1, count], .integer))
    let labels = builder.input("labels", ValueType([count], .integer))
    let table = try builder.parameter("table", [13, 6])
    let (head, bias) = (try builder.parameter("head", [9, 6]), try builder.parameter("bias", [9]))
    let hidden = try builder.embedding(ids, table)
    let loss = try builder.crossEntropy(hidden, head, bias: bias, labels: labels)
    var random = RandomGraph(
      builder.finish(outputs: [("losses", loss.losses), ("predictions", loss.predictions)]),
      seed: 5
    )
    random.integers["input_ids"] = (0..<count).map { Int32($0 * 7 % 13) }
    let counted: [[Range<Int>]] = [
      [], [0..<1], [699..<700], [0..<700], [200..<201], [3..<40, 103..<140, 205..<206, 500..<620],
    ]
    for ranges in counted {
      random.integers["labels"] = (0..<count).map { row in
        ranges.contains { $0.contains(row) } ? Int32(row % 9) : -1
      }
      let wanted = try Self.gradients(random)
      let got = try Self.run(random, threads: 3)
      for (name, values) in wanted {
        let found = try #require(got[name])
        let size = values.reduce(0) { max($0, abs($1)) }
        let worst = zip(found, values).map { abs(Double($0) - $1) }.max() ?? 0
        #expect(worst <= 2e-5 * max(size, 1e-3), "\(ranges) \(name): \(worst) of \(size)")
      }
    }
  }

  /// Gradients by the kernels.
  private static func run(_ random: RandomGraph, threads: Int = 1) throws -> [String: [Float]] {
    let training = try TrainingGraph(
      random.graph,
      isTrainable: { _ in true },
      ending: .gradients
    )
    let table = random.table(trainable: random.names)
    let workspace = Workspace(table, team: ThreadTeam(threads: threads))
    let plan = try BoundPlan(ExecutionPlan(training.graph, threads: threads), in: workspace)
    for (name, values) in random.integers { try plan.set(name, integers: values) }
    let count = random.integers["labels"]?.count ?? 0
    try plan.set(TrainingGraph.lossGradients, floats: lossGradients(count))
    plan.run()
    var gradients: [String: [Float]] = [:]
    for name in random.names { gradients[name] = try plan.floats("gradient.\(name)") }
    return gradients
  }

  @Test("Have the same bits on 1, 2 and 4 threads")
  func threads() throws {
    for random in try RandomGraph.all(5, 33) {
      let one = try Self.run(random)
      for threads in [2, 4] {
        let other = try Self.run(random, threads: threads)
        for (name, values) in one {
          #expect(values.map(\.bitPattern) == other[name]?.map(\.bitPattern), "\(name)")
        }
      }
    }
  }

  @Test("Frozen parameters prune the backward half")
  func pruned() throws {
    for random in try RandomGraph.all(2, 9) {
      let all = try Self.gradients(random)
      for name in random.names {
        let training = try TrainingGraph(
          random.graph,
          isTrainable: { $0 == name },
          ending: .gradients
        )
        #expect(training.trainable.map(\.name) == [name])
        let made = try Self.gradients(random) { $0 == name }
        #expect(made.count == 1)
        let wanted = try #require(all[name])
        let found = try #require(made[name])
        #expect(zip(wanted, found).allSatisfy { abs($0 - $1) <= 1e-9 * (1 + abs($0)) }, "\(name)")
      }
    }
    let random = try RandomGraph.encoder(sequences: 2, positions: 9, seed: 2)
    let head = try TrainingGraph(
      random.graph,
      isTrainable: { $0.hasPrefix("head") },
      ending: .gradients
    )
    let names = head.graph.nodes.map { type(of: $0.operation).name }
    #expect(!names.contains { $0.hasSuffix("input_gradient") || $0.hasPrefix("attention_g") })
  }
}
