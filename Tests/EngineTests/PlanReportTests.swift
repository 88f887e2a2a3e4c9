// Apache-2.0.
import Execution
import FineTuning
import GraphCompiler
import Tensors
import Testing

@Suite("The plan of a training step")
struct PlanReportTests {
  @Test("A run touches the whole planned arena, not a byte more, and reads nothing unwritten")
  func measured() throws {
    for random in try RandomGraph.all(3, 20) {
      for passes in [TrainingPasses.none, .all] {
        for threads in [1, 3] {
          let training = try TrainingGraph(
            random.graph,
            isTrainable: { _ in true },
            ending: .update(.adamW(), clipping: passes == .all ? .none : .global(1)),
            passes: passes
          )
          let plan = ExecutionPlan(training.graph, threads: threads, keepsInputs: false)
          var weights: [[Float]?] = []
          for isPoisoned in [false, true] {
            let workspace = Workspace(
              random.table(trainable: random.names),
              team: ThreadTeam(threads: threads),
              perturbs: false
            )
            let bound = try BoundPlan(plan, in: workspace)
            if isPoisoned { workspace.poison() }
            for (name, values) in random.integers { try bound.set(name, integers: values) }
            let count = random.integers["labels"]?.count ?? 0
            try bound.set(
              TrainingGraph.lossGradients,
              floats: [Float](repeating: 0.1, count: count)
            )
            try bound.set(
              TrainingGraph.schedule,
              floats: Optimizer.adamW().schedule(rate: 0.01, step: 1)
            )
            bound.run()
            weights.append(workspace.weights(of: "embed"))
            guard isPoisoned else { continue }
            let touched = workspace.touchedBytes
            // The last values may end within their cache line.
            #expect(touched <= plan.arenaBytes)
            #expect(touched > plan.arenaBytes - 64)
          }
          #expect(weights[0] == weights[1])
        }
      }
    }
  }

  @Test("Counts every byte, and names what decides the peak")
  func report() throws {
    let random = try RandomGraph.decoder(sequences: 4, positions: 32, seed: 1)
    let training = try TrainingGraph(
      random.graph,
      isTrainable: { $0.hasPrefix("1.") },
      ending: .update(.momentum())
    )
    let plan = ExecutionPlan(training.graph, threads: 2, keepsInputs: false)
    let report = PlanReport(
      plan,
      threads: 2,
      weightBytes: 1000,
      forwardFlops: training.forwardFlops
    )
    #expect(report.aliveAtPeak.reduce(0) { $0 + $1.bytes } == report.lowerBound)
    #expect(report.arenaBytes >= report.lowerBound)
    #expect(report.forwardFlops == random.graph.flops)
    #expect(report.backwardFlops > 0)
    let trained = training.trainable.reduce(0) { $0 + $1.shape.elementCount }
    #expect(report.staticBytes == 1000 + 4 * trained + plan.constantBytes)
    #expect(
      report.totalBytes
        == report.arenaBytes + report.staticBytes + report.scratchBytes + report.stackBytes
    )
    try report.check(budget: report.totalBytes)
    let error = #expect(throws: GraphError.self) {
      try report.check(budget: report.totalBytes - 1)
    }
    let text = "\(try #require(error))"
    #expect(text.contains(report.aliveAtPeak[0].name), "\(text)")
    #expect("\(report)".contains("lower bound"))
  }

  @Test("A scheme is bounded by the work it leaves out")
  func schemes() throws {
    func report(_ scheme: String) throws -> TrainingReport {
      try GoldenGradients("bert-classes", scheme: scheme).model.trainingReport(
        rows: 4,
        positions: 32,
        optimizer: .sgd(),
        threads: 1
      )
    }
    let full = try report("full")
    #expect(full.bound == 1)
    #expect(full.suffixPlan == nil)
    let head = try report("head")
    #expect(head.bound > 2.5)
    #expect(try #require(head.suffixBound) > 100)
    #expect(head.plan.arenaBytes < full.plan.arenaBytes / 2)
    // One row of the pooler's output.
    #expect(head.featureBytes == 32 * 4)
    let last = try report("blocks:last=1")
    #expect(last.bound > 1.2 && last.bound < head.bound)
    let biases = try report("bias")
    #expect(biases.bound > 1.3 && biases.bound < 1.6)
  }

  @Test("A budget is met by making results again, or refused with what decides the peak")
  func budget() throws {
    let model = try GoldenGradients("llama").model
    func report(_ budget: Int?) throws -> TrainingReport {
      try model.trainingReport(
        rows: 4,
        positions: 64,
        optimizer: .adamW(),
        threads: 1,
        budget: budget
      )
    }
    let free = try report(nil)
    #expect(free.arenaBudget == nil)
    let total = free.plan.totalBytes
    #expect(try report(total).plan.backwardFlops == free.plan.backwardFlops)
    let less = try report(total - free.plan.arenaBytes / 10)
    #expect(less.plan.totalBytes <= total - free.plan.arenaBytes / 10)
    #expect(less.plan.backwardFlops > free.plan.backwardFlops)
    #expect(less.arenaBudget != nil)
    let error = #expect(throws: FineTuningError.self) { try report(total / 2) }
    #expect("\(try #require(error))".contains("the step needs"))
  }

  @Test("The frozen part of an arena is no larger than the forward pass needs")
  func frozen() throws {
    let random = try RandomGraph.decoder(sequences: 4, positions: 32, seed: 1)
    let forward = ExecutionPlan(random.graph, threads: 1, keepsInputs: false)
    let head = try TrainingGraph(
      random.graph,
      isTrainable: { $0 == "1.down" },
      ending: .update(.sgd())
    )
    let full = try TrainingGraph(
      random.graph,
      isTrainable: { _ in true },
      ending: .update(.sgd())
    )
    let plans = [head, full].map {
      ExecutionPlan($0.graph, threads: 1, keepsInputs: false).arenaBytes
    }
    #expect(plans[0] < plans[1])
    #expect(plans[0] < 2 * forward.arenaBytes)
  }
}
