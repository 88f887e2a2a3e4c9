// Apache-2.0.
public import Datasets
import Execution
public import GraphCompiler
import Tensors

/// Trains a model by gradients on the weights of a workspace, one batch a step.
///
/// Used by one caller at a time. What the optimiser keeps lies in the workspace, so one trainer at a
/// time works on it.
public final class GradientTrainer {
  /// Where weights, states and plans live.
  public let workspace: TrainerWorkspace
  /// How weights follow gradients.
  public let optimizer: Optimizer
  /// Bound on gradients.
  public let clipping: Clipping
  /// μ of a term (μ/2)‖w − reference‖² of the loss, the reference that of `ClientTrainer` (FedProx).
  let proximal: Float
  /// Steps taken.
  public internal(set) var step = 0
  private let passes: TrainingPasses
  private let arenaBudget: Int?
  private var updates: BoundPlan?

  /// A trainer before its first step; what another one kept in the workspace is forgotten.
  ///
  /// - Parameter arenaBudget: bytes that values may take, at the price of making some of them twice.
  public init(
    _ workspace: TrainerWorkspace,
    optimizer: Optimizer,
    clipping: Clipping = .none,
    passes: TrainingPasses = .all,
    arenaBudget: Int? = nil,
    proximal: Float = 0
  ) {
    self.proximal = proximal
    self.workspace = workspace
    self.optimizer = optimizer
    self.clipping = clipping
    self.passes = passes
    self.arenaBudget = arenaBudget
    workspace.workspace.clearStates()
  }

  /// One step on one batch.
  ///
  /// - Parameters:
  ///   - examples: at most `rows`.
  ///   - rows: rows of the plan, the same in every step, so that few plans are made.
  ///   - rate: step size.
  /// - Returns: the mean loss of what counts, before the step.
  public func step(_ examples: [Example], rows: Int, rate: Float) throws(FineTuningError) -> Float {
    if case .delta = optimizer { return try step(accumulating: [examples], rows: rows, rate: rate) }
    if proximal > 0 { return try step(accumulating: [examples], rows: rows, rate: rate) }
    step += 1
    let batch = try workspace.prepare(
      examples,
      rows: rows,
      ending: .update(optimizer, clipping: clipping),
      passes: passes,
      arenaBudget: arenaBudget
    )
    try batch.setLossGradients(1 / Float(max(1, batch.batch.countedLabels)))
    try batch.setSchedule(optimizer.schedule(rate: rate, step: step))
    return try batch.meanLoss()
  }

  /// One step on several batches as if they were one.
  ///
  /// - Returns: the mean loss of what counts, before the step.
  public func step(
    accumulating batches: [[Example]],
    rows: Int,
    rate: Float
  ) throws(FineTuningError) -> Float {
    step += 1
    let weights = workspace.workspace
    if case .delta = optimizer {
      if step > 1 {
        // The gradient of the same batches where the last step began: a second backward pass.
        weights.exchangeKeptWeights()
        _ = try accumulate(batches, rows: rows)
        weights.keepSums()
        weights.restoreKeptWeights()
      } else {
        weights.keepWeights()
      }
    }
    let (sum, count) = try accumulate(batches, rows: rows)
    let counted = Float(max(1, count))
    let plan = try updatePlan()
    let schedule = optimizer.schedule(rate: rate, step: step, scale: 1 / counted)
    try FineTuningError.inPlan { () throws(ExecutionError) in
      if !plan.plan.graph.inputs.isEmpty {
        try plan.set(TrainingGraph.schedule, floats: schedule)
      }
    }
    plan.run()
    return Float(sum / Double(counted))
  }

  /// Adds up the gradients of batches; the sum of their losses and how much counts in them.
  private func accumulate(
    _ batches: [[Example]],
    rows: Int
  ) throws(FineTuningError) -> (sum: Double, count: Int) {
    var (sum, count) = (0.0, 0)
    for examples in batches {
      let batch = try workspace.prepare(
        examples,
        rows: rows,
        ending: .accumulation,
        passes: passes,
        arenaBudget: arenaBudget
      )
      try batch.setLossGradients(1)
      sum += try batch.lossSums().reduce(0, +)
      count += batch.batch.countedLabels
    }
    if proximal > 0, let reference = workspace.reference {
      // Gradients are still sums over what counts.
      workspace.workspace.addProximal(proximal * Float(max(1, count)), from: reference)
    }
    return (sum, count)
  }

  /// The mean loss of a batch and the gradients of every parameter that trains, by name; no step.
  public func gradients(
    _ examples: [Example],
    rows: Int
  ) throws(FineTuningError) -> (loss: Float, gradients: [String: [Float]]) {
    let batch = try workspace.prepare(examples, rows: rows, ending: .gradients, passes: passes)
    try batch.setLossGradients(1 / Float(max(1, batch.batch.countedLabels)))
    let loss = try batch.meanLoss()
    var gradients: [String: [Float]] = [:]
    for (name, _) in batch.plan.plan.graph.outputs where name.hasPrefix("gradient.") {
      gradients[String(name.dropFirst("gradient.".count))] =
        try FineTuningError.inPlan { () throws(ExecutionError) in try batch.plan.floats(name) }
    }
    return (loss, gradients)
  }

  private func updatePlan() throws(FineTuningError) -> BoundPlan {
    if let updates { return updates }
    let parameters = workspace.model.table.trainable.map { name, shape in
      Parameter(name: name, shape: shape)
    }
    let graph = try FineTuningError.inGraph { () throws(GraphError) in
      try TrainingGraph.updates(
        parameters,
        columns: workspace.model.selection.fractions,
        optimizer,
        clipping: clipping
      )
    }
    let threads = workspace.workspace.team.threadCount
    let made = try FineTuningError.inPlan { () throws(ExecutionError) in
      try BoundPlan(ExecutionPlan(graph, threads: threads), in: workspace.workspace)
    }
    updates = made
    return made
  }
}

extension PreparedBatch {
  /// What each loss that counts weighs.
  fileprivate func setLossGradients(_ weight: Float) throws(FineTuningError) {
    let name = TrainingGraph.lossGradients
    guard plan.plan.graph.inputs.contains(where: { $0.name == name }) else { return }
    let weights = [Float](repeating: weight, count: batch.labels.count)
    try FineTuningError.inPlan { () throws(ExecutionError) in
      try plan.set(name, floats: weights)
    }
  }

  fileprivate func setSchedule(_ schedule: [Float]) throws(FineTuningError) {
    let name = TrainingGraph.schedule
    guard plan.plan.graph.inputs.contains(where: { $0.name == name }) else { return }
    try FineTuningError.inPlan { () throws(ExecutionError) in
      try plan.set(name, floats: schedule)
    }
  }
}
