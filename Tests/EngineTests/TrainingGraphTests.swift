// Apache-2.0.
import Execution
import GraphCompiler
import SharedRandomness
import Tensors
import Testing

@Suite("A training step")
struct TrainingGraphTests {
  private static let rates: [Float] = [0.05, 0.02, 0.08]

  private static func inputs(_ random: RandomGraph, step: Int) -> [Float] {
    (0..<(random.integers["labels"]?.count ?? 0)).map { 0.02 + Float(($0 + step) % 5) / 100 }
  }

  /// Weights after some steps by the definitions.
  private static func reference(
    _ random: RandomGraph,
    _ optimizer: Optimizer,
    _ training: TrainingGraph
  ) throws -> [String: [Double]] {
    var parameters = random.parameters.mapValues { $0.map(Double.init) }
    var states: [String: [Double]] = [:]
    for (step, rate) in rates.enumerated() {
      var inputs = random.integers.mapValues { $0.map(Double.init) }
      inputs[TrainingGraph.lossGradients] = self.inputs(random, step: step).map(Double.init)
      inputs[TrainingGraph.schedule] = optimizer.schedule(rate: rate, step: step + 1)
        .map(Double.init)
      _ = try ReferenceInterpreter(training.graph).run(
        inputs: inputs,
        parameters: &parameters,
        states: &states
      )
    }
    return parameters
  }

  /// Weights after the same steps by the kernels.
  static func run(
    _ random: RandomGraph,
    _ optimizer: Optimizer,
    _ training: TrainingGraph,
    threads: Int = 1
  ) throws -> [String: [Float]] {
    let table = random.table(trainable: Set(training.trainable.map(\.name)))
    let workspace = Workspace(table, team: ThreadTeam(threads: threads))
    let plan = try BoundPlan(
      ExecutionPlan(training.graph, threads: threads, keepsInputs: false),
      in: workspace
    )
    for (step, rate) in rates.enumerated() {
      for (name, values) in random.integers { try plan.set(name, integers: values) }
      try plan.set(TrainingGraph.lossGradients, floats: inputs(random, step: step))
      try plan.set(
        TrainingGraph.schedule,
        floats: optimizer.schedule(rate: rate, step: step + 1)
      )
      plan.run()
    }
    var weights: [String: [Float]] = [:]
    for parameter in training.trainable {
      weights[parameter.name] = workspace.weights(of: parameter.name)
    }
    return weights
  }

  static let optimizers: [Optimizer] = [
    .sgd(), .sgd(decay: 0.1), .momentum(0.8, decay: 0.01), .adamW(epsilon: 1e-3, decay: 0.1),
    .delta(),
  ]

  @Test("Moves weights as the definitions say", arguments: optimizers)
  func agrees(optimizer: Optimizer) throws {
    for clipping in [Clipping.none, .global(0.05), .perTensor(0.01)] {
      if optimizer == .delta() && clipping != .none { continue }
      for random in try RandomGraph.all(2, 5) {
        let training = try TrainingGraph(
          random.graph,
          isTrainable: { !$0.hasSuffix("norm2") },
          columns: ["1.q": 5, "outer": 7],
          ending: .update(optimizer, clipping: clipping)
        )
        let wanted = try Self.reference(random, optimizer, training)
        let found = try Self.run(random, optimizer, training)
        for (name, values) in found {
          let before = try #require(random.parameters[name])
          let after = try #require(wanted[name])
          let moved = zip(before, after).map { abs(Double($0) - $1) }.max() ?? 0
          let worst = zip(values, after).map { abs(Double($0) - $1) }.max() ?? 0
          #expect(moved > 0, "\(name) stays")
          #expect(worst <= 1e-3 * moved + 1e-6, "\(name): \(worst) of \(moved)")
        }
      }
    }
  }

  @Test("Has the same bits on 1, 2 and 4 threads")
  func threads() throws {
    for random in try RandomGraph.all(3, 40) {
      let training = try TrainingGraph(
        random.graph,
        isTrainable: { _ in true },
        ending: .update(.adamW(), clipping: .global(0.5))
      )
      let one = try Self.run(random, .adamW(), training)
      for threads in [2, 4] {
        #expect(try Self.run(random, .adamW(), training, threads: threads) == one)
      }
    }
  }

  @Test("Is the same with each pass and without, bit for bit", arguments: optimizers)
  func passes(optimizer: Optimizer) throws {
    for random in try RandomGraph.all(3, 12) {
      func made(_ passes: TrainingPasses) throws -> [String: [Float]] {
        let training = try TrainingGraph(
          random.graph,
          isTrainable: { _ in true },
          columns: ["0.up": 6, "0.o": 11, "0.q": 7, "0.v": 5, "outer": 9],
          ending: .update(optimizer),
          passes: passes
        )
        return try Self.run(random, optimizer, training)
      }
      let plain = try made(.none)
      #expect(try made(.all) == plain)
      for pass in TrainingPasses.each {
        #expect(try made(pass) == plain, "with \(pass) alone")
        #expect(try made(.all.subtracting(pass)) == plain, "without \(pass)")
      }
    }
  }

  @Test("Frozen weights packed once change no bit and are counted")
  func packedWeights() throws {
    for random in try RandomGraph.all(3, 40) {
      let matrices = random.graph.parameters.filter { $0.shape.rank == 2 }.map(\.name)
      for name in [matrices[0], matrices[matrices.count / 2], matrices[matrices.count - 1]] {
        func made(_ passes: TrainingPasses) throws -> TrainingGraph {
          try TrainingGraph(
            random.graph,
            isTrainable: { $0 == name },
            ending: .update(.sgd()),
            passes: passes
          )
        }
        let (plain, packed) = (try made(.all), try made(.all.union(.packedWeights)))
        #expect(plain.graph.packedWeights.isEmpty)
        #expect(!packed.graph.packedWeights.isEmpty)
        let trained = Set(packed.trainable.map(\.name))
        let names = packed.graph.packedWeights.map {
          packed.graph.parameters[$0.parameter.index].name
        }
        #expect(trained.isDisjoint(with: names))
        let wanted = try Self.run(random, .sgd(), plain)
        for threads in [1, 3] {
          #expect(try Self.run(random, .sgd(), packed, threads: threads) == wanted)
        }
        let plans = [plain, packed].map { ExecutionPlan($0.graph, threads: 1) }
        let more =
          PlanReport(plans[1], threads: 1).staticBytes
          - PlanReport(plans[0], threads: 1).staticBytes
        #expect(more == plans[1].panelBytes && more > 0)
        let held = try plans.map { plan in
          let workspace = Workspace(random.table(trainable: trained), team: ThreadTeam(threads: 1))
          let bound = [try BoundPlan(plan, in: workspace), try BoundPlan(plan, in: workspace)]
          defer { withExtendedLifetime(bound) {} }
          return workspace.byteCount
        }
        #expect(held[1] - held[0] == more)
      }
    }
  }

  @Test("Results made again to fit a budget change no bit")
  func budget() throws {
    for random in try RandomGraph.all(4, 32) {
      func made(_ budget: Int?) throws -> (weights: [String: [Float]], plan: ExecutionPlan) {
        let training = try TrainingGraph(
          random.graph,
          isTrainable: { _ in true },
          ending: .update(.sgd()),
          arenaBudget: budget
        )
        let plan = ExecutionPlan(training.graph, threads: 1, keepsInputs: false)
        return (try Self.run(random, .sgd(), training), plan)
      }
      let free = try made(nil)
      let same = try made(free.plan.lowerBound)
      #expect(same.plan.graph.nodes.count == free.plan.graph.nodes.count)
      // The encoder's one layer has nothing to make again.
      guard random.names.contains("1.gate") else { continue }
      let little = try made(free.plan.lowerBound * 9 / 10)
      #expect(little.plan.lowerBound <= free.plan.lowerBound * 9 / 10)
      let least = try made(0)
      #expect(least.plan.lowerBound <= little.plan.lowerBound)
      #expect(least.plan.graph.flops > free.plan.graph.flops)
      #expect(least.plan.graph.flops < free.plan.graph.flops * 4 / 3)
      #expect(little.weights == free.weights)
      #expect(least.weights == free.weights)
    }
  }

  @Test("Each pass does what it is there for")
  func effects() throws {
    for random in try RandomGraph.all(4, 32) {
      func made(_ passes: TrainingPasses) throws -> (names: [String], arena: Int) {
        let training = try TrainingGraph(
          random.graph,
          isTrainable: { _ in true },
          ending: .update(.sgd()),
          passes: passes
        )
        let names = training.graph.nodes.map { type(of: $0.operation).name }
        return (names, ExecutionPlan(training.graph, threads: 1).arenaBytes)
      }
      let (plain, early) = (try made(.none), try made(.earlyUpdates))
      #expect(plain.names.last == "update")
      #expect(early.names != plain.names)
      #expect(early.arena < plain.arena)
      let kept = try made([.earlyUpdates, .fusedUpdates])
      #expect(!kept.names.contains("linear_weight_gradient"))
      #expect(kept.names.contains("embedding_update") != random.names.contains("1.gate"))
      #expect(kept.arena <= early.arena)
      let again = try made([.earlyUpdates, .fusedUpdates, .recomputation])
      // The results of clamped layers are all that their gradients read.
      let isOfImages = random.names.contains("stem")
      #expect(again.names.count > kept.names.count || isOfImages)
      #expect(again.arena < kept.arena || (isOfImages && again.arena == kept.arena))
      #expect(try made(.all).arena <= again.arena)
    }
    let decoder = try RandomGraph.decoder(sequences: 4, positions: 32, seed: 1)
    let arenas = try [TrainingPasses.all.subtracting(.slices), .all].map { passes in
      let training = try TrainingGraph(
        decoder.graph,
        isTrainable: { $0.hasSuffix(".o") },
        columns: ["0.o": 3, "1.o": 3],
        ending: .update(.sgd()),
        passes: passes
      )
      return ExecutionPlan(training.graph, threads: 1).lowerBound
    }
    #expect(arenas[1] < arenas[0])
    let encoder = try RandomGraph.encoder(sequences: 2, positions: 8, seed: 2)
    let slopes = try [TrainingPasses.none, .fusedActivations].map { passes in
      try TrainingGraph(
        encoder.graph,
        isTrainable: { _ in true },
        ending: .gradients,
        passes: passes
      ).graph.nodes.count { type(of: $0.operation).name == "activation_gradient" }
    }
    // What `pooler` makes goes to the loss, not through a matrix.
    #expect(slopes == [2, 1])
  }

  @Test("Only what trains is changed, of a matrix in part only that part")
  func part() throws {
    let random = try RandomGraph.decoder(sequences: 2, positions: 8, seed: 1)
    let training = try TrainingGraph(
      random.graph,
      isTrainable: { $0 == "1.q" },
      columns: ["1.q": 7],
      ending: .update(.sgd())
    )
    let found = try #require(try Self.run(random, .sgd(), training)["1.q"])
    let before = try #require(random.parameters["1.q"])
    let width = 24
    let changed = before.indices.filter { found[$0] != before[$0] }
    #expect(changed.allSatisfy { $0 % width < 7 })
    // A few move by less than their rounding.
    #expect(changed.count > width * 6)
  }

  @Test("A plan that would change a frozen tensor is refused")
  func frozen() throws {
    let random = try RandomGraph.decoder(sequences: 1, positions: 4, seed: 1)
    let training = try TrainingGraph(
      random.graph,
      isTrainable: { $0 == "1.q" },
      ending: .update(.sgd())
    )
    let workspace = Workspace(random.table(trainable: ["1.k"]), team: ThreadTeam(threads: 1))
    #expect(throws: ExecutionError.frozen("1.q")) {
      try BoundPlan(ExecutionPlan(training.graph, threads: 1), in: workspace)
    }
  }

  @Test("A part of a matrix that no linear layer reads is refused")
  func noPart() throws {
    let random = try RandomGraph.decoder(sequences: 1, positions: 4, seed: 1)
    #expect(throws: GraphError.self) {
      try TrainingGraph(
        random.graph,
        isTrainable: { $0 == "embed" },
        columns: ["embed": 3],
        ending: .gradients
      )
    }
  }
}
