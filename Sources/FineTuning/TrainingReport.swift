// Apache-2.0.
public import Datasets
import Execution
public import GraphCompiler
import Models

/// What a training step of a scheme costs, known before anything runs.
public struct TrainingReport: Sendable {
  /// The plan of the first visit of an example where the prefix is not hoisted.
  public let plan: PlanReport
  /// The plan of later visits, where a frozen prefix was computed before; nil where there is none.
  public let suffixPlan: PlanReport?
  /// Bytes of features the frozen prefix leaves for one example.
  public let featureBytes: Int
  /// Trainable scalars.
  public let trainableCount: Int
  /// Bytes of weight files, mapped and not copied.
  public let mappedBytes: Int
  /// Bytes of frozen weights in memory of their own; the plans count them.
  public let frozenBytes: Int
  /// Bytes that values may take under the budget, for `GradientTrainer`; nil where everything fits.
  public let arenaBudget: Int?
  /// Floating-point operations of a step that trains every tensor.
  public let fullFlops: Int

  /// How many times less work than training every tensor: no step can be faster by more.
  public var bound: Double { ratio(plan) }

  /// The same from the second visit of an example on.
  public var suffixBound: Double? { suffixPlan.map(ratio) }

  private func ratio(_ plan: PlanReport) -> Double {
    Double(fullFlops) / Double(max(1, plan.forwardFlops + plan.backwardFlops))
  }
}

extension LoadedModel {
  /// Positions that batches of `examples` are padded to at most.
  public func paddedLength(of examples: [Example]) -> Int {
    let longest = examples.reduce(1) { max($0, $1.tokens.count) }
    return min(Batch.bucket(longest), family.maximumPositions)
  }

  /// The plan of one step that visits its examples for the first time.
  func stepReport(
    rows: Int,
    positions: Int,
    optimizer: Optimizer,
    threads: Int
  ) throws(FineTuningError) -> PlanReport {
    let request = GraphRequest(sequences: rows, positions: positions, head: head, hasLoss: true)
    let whole = try FineTuningError.inModel(self.request.directory) { try graph(request) }
    let training = try FineTuningError.inGraph { () throws(GraphError) in
      try TrainingGraph(
        whole,
        isTrainable: selection.contains,
        columns: selection.fractions,
        ending: .update(optimizer, clipping: .none)
      )
    }
    return PlanReport(
      ExecutionPlan(training.graph, threads: threads, keepsInputs: false),
      threads: threads,
      weightBytes: 4 * table.trainableCount + table.frozenBytes,
      forwardFlops: training.forwardFlops
    )
  }

  /// Plans a training step without running it.
  ///
  /// - Parameters:
  ///   - rows: sequences of a batch.
  ///   - positions: of a sequence, at most the model's.
  ///   - budget: bytes a step may take in all; results are made again instead of kept to meet it.
  /// - Throws: `FineTuningError.execution` over the budget, naming what decides the peak.
  public func trainingReport(
    rows: Int,
    positions: Int,
    optimizer: Optimizer,
    clipping: Clipping = .none,
    threads: Int,
    passes: TrainingPasses = .all,
    budget: Int? = nil
  ) throws(FineTuningError) -> TrainingReport {
    guard positions <= family.maximumPositions else {
      throw .data("\(positions) positions; the model has \(family.maximumPositions)")
    }
    let request = GraphRequest(sequences: rows, positions: positions, head: head, hasLoss: true)
    let whole = try FineTuningError.inModel(self.request.directory) { try graph(request) }
    let ending = TrainingGraph.Ending.update(optimizer, clipping: clipping)
    let weightBytes = 4 * table.trainableCount + table.frozenBytes
    func report(
      _ graph: Graph,
      _ arenaBudget: Int? = nil
    ) throws(FineTuningError) -> PlanReport {
      let training = try FineTuningError.inGraph { () throws(GraphError) in
        try TrainingGraph(
          graph,
          isTrainable: selection.contains,
          columns: selection.fractions,
          ending: ending,
          passes: passes,
          arenaBudget: arenaBudget
        )
      }
      return PlanReport(
        ExecutionPlan(training.graph, threads: threads, keepsInputs: false),
        threads: threads,
        weightBytes: weightBytes,
        forwardFlops: training.forwardFlops
      )
    }
    let full = try FineTuningError.inModel(self.request.directory) {
      let plain = try family.graph(request)
      return try TrainingGraph(plain, isTrainable: { _ in true }, ending: ending, passes: passes)
        .graph.flops
    }
    let split = GraphSplit(whole, isTrainable: selection.contains)
    let hoists = split.prefix.flops > 0 && !split.suffix.nodes.isEmpty
    let bytes = split.prefix.outputs.reduce(0) { $0 + split.prefix.type(of: $1.value).byteCount }
    var plan = try report(whole)
    var arenaBudget: Int?
    if let budget, plan.totalBytes > budget {
      arenaBudget = max(0, budget - (plan.totalBytes - plan.arenaBytes))
      plan = try report(whole, arenaBudget)
      try FineTuningError.inGraph { () throws(GraphError) in try plan.check(budget: budget) }
    }
    return TrainingReport(
      plan: plan,
      suffixPlan: hoists ? try report(split.suffix, arenaBudget) : nil,
      featureBytes: hoists ? bytes / max(1, rows) : 0,
      trainableCount: table.trainableCount,
      mappedBytes: mappedBytes,
      frozenBytes: table.frozenBytes,
      arenaBudget: arenaBudget,
      fullFlops: full
    )
  }
}
