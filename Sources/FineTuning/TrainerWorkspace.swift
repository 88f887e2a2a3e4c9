// Apache-2.0.
import Datasets
import Execution
import GraphCompiler
import Models
public import Tensors

/// What one worker needs to train and evaluate on a model: weights, plans, an arena.
///
/// Used by one caller at a time, for client after client.
public final class TrainerWorkspace {
  /// The model.
  public let model: LoadedModel
  let workspace: Workspace
  /// Weights on the way to the version loaded last, where that way is long.
  var anchor: VersionAnchor?
  /// Weights that `ClientTrainer` measures the way from.
  var reference: AlignedBuffer?
  private var plans: [PlanKey: BatchPlan] = [:]
  /// Whether part of the model comes before every tensor that can change.
  public let hoists: Bool

  private enum Part: Hashable {
    case prefix
    case suffix
    case training(TrainingGraph.Ending, TrainingPasses, arenaBudget: Int?)
  }

  private struct PlanKey: Hashable {
    let request: GraphRequest
    let part: Part
  }

  /// A plan, and what it takes over from the prefix or hands to the suffix.
  private struct BatchPlan {
    let plan: BoundPlan
    let boundary: [BoundaryValue]
  }

  /// A workspace at the base weights.
  ///
  /// - Parameters:
  ///   - hoistsFrozenPrefix: whether the part before the first tensor that can change is
  ///   computed once an example and kept.
  ///   - perturbs: whether it will train along directions, not only by gradients.
  public init(
    _ model: LoadedModel,
    team: ThreadTeam,
    hoistsFrozenPrefix: Bool = true,
    perturbs: Bool = true
  ) throws(FineTuningError) {
    self.model = model
    workspace = Workspace(model.table, team: team, perturbs: perturbs)
    let smallest = GraphRequest(sequences: 1, positions: 1, head: model.head, hasLoss: true)
    let graph = try FineTuningError.inModel(model.request.directory) {
      try model.graph(smallest)
    }
    let split = GraphSplit(graph, isTrainable: model.selection.contains)
    // Where nothing can change there is no second visit to save.
    hoists = hoistsFrozenPrefix && split.prefix.flops > 0 && !split.suffix.nodes.isEmpty
  }

  /// Bytes held: trainable weights, direction, arena and scratch.
  public var byteCount: Int {
    workspace.byteCount + model.table.byteCount + (anchor?.weights.byteCount ?? 0)
      + (reference?.byteCount ?? 0)
  }

  /// The losses and predictions of a batch, ready to be run.
  ///
  /// - Parameters:
  ///   - examples: at most `rows`.
  ///   - ending: what becomes of gradients; nil for a plan that has none.
  func prepare(
    _ examples: [Example],
    rows: Int,
    ending: TrainingGraph.Ending? = nil,
    passes: TrainingPasses = .all,
    arenaBudget: Int? = nil
  ) throws(FineTuningError) -> PreparedBatch {
    try check(examples)
    let batch = Batch(examples, rows: rows, head: model.head, family: model.family)
    // The prefix first: plans share the arena in which the inputs of the suffix will lie.
    var features: [[Float]] = []
    if hoists {
      for example in examples { features.append(try self.features(of: example)) }
    }
    let part = ending.map { Part.training($0, passes, arenaBudget: arenaBudget) } ?? .suffix
    let plan = try plan(part, of: batch)
    try set(plan.plan, batch)
    var start = [Int](repeating: 0, count: examples.count)
    for value in plan.boundary {
      var floats = [Float](repeating: 0, count: batch.sequences * value.rows * value.columns)
      for (row, feature) in features.enumerated() {
        // Rows beyond the example's own are padding, read by nobody.
        let count = value.count(positions: positions(row, batch))
        let target = row * value.rows * value.columns
        floats.replaceSubrange(
          target..<target + count,
          with: feature[start[row]..<start[row] + count]
        )
        start[row] += count
      }
      try FineTuningError.inPlan { () throws(ExecutionError) in
        try plan.plan.set(value.name, floats: floats)
      }
    }
    return PreparedBatch(plan: plan.plan, batch: batch)
  }

  /// Refuses ids and classes that the tables of the model do not have, and examples of other extent.
  private func check(_ examples: [Example]) throws(FineTuningError) {
    let vocabulary = Int32(clamping: model.family.vocabularyCount)
    let valueCount = model.family.valueCount
    // Fields are read where they lie: a copy of an example counts references of all of them.
    for row in examples.indices {
      guard examples[row].values.count == valueCount else {
        throw .data(
          "an example of \(examples[row].values.count) values; the model reads \(valueCount)"
        )
      }
      guard examples[row].tokens.allSatisfy({ $0 >= 0 && $0 < vocabulary }),
        examples[row].labels.allSatisfy({ $0 < vocabulary })
      else { throw .data("a token id lies outside the model's vocabulary of \(vocabulary)") }
      if case .classifier(let classes) = model.head, let index = examples[row].classIndex {
        guard index < classes else { throw .data("class \(index) of \(classes)") }
      }
    }
  }

  /// What the frozen prefix makes of one example: the boundary values without padding.
  ///
  /// Always computed alone and padded by its own length, so that its bits do not depend on the batch
  /// in which it is met first.
  private func features(of example: Example) throws(FineTuningError) -> [Float] {
    if let known = model.features[example] { return known }
    let batch = Batch([example], rows: 1, head: model.head, family: model.family)
    let plan = try plan(.prefix, of: batch)
    try set(plan.plan, batch)
    plan.plan.run()
    var features: [Float] = []
    for value in plan.boundary {
      let all = try FineTuningError.inPlan { () throws(ExecutionError) in
        try plan.plan.floats(value.name)
      }
      features += all.prefix(value.count(positions: positions(0, batch)))
    }
    model.features.keep(features, of: example)
    return features
  }

  /// Positions of a row that are no padding; an example of values has none.
  private func positions(_ row: Int, _ batch: Batch) -> Int {
    model.family.valueCount > 0 ? .max : Int(batch.lengths[row])
  }

  private func set(_ plan: BoundPlan, _ batch: Batch) throws(FineTuningError) {
    for (name, _) in plan.plan.graph.inputs {
      try FineTuningError.inPlan { () throws(ExecutionError) in
        switch name {
        case "input_ids": try plan.set(name, integers: batch.ids)
        case "values": try plan.set(name, floats: batch.values)
        case "lengths": try plan.set(name, integers: batch.lengths)
        case "labels": try plan.set(name, integers: batch.labels)
        default: break
        }
      }
    }
  }

  private func plan(_ part: Part, of batch: Batch) throws(FineTuningError) -> BatchPlan {
    let request = GraphRequest(
      sequences: batch.sequences,
      positions: batch.positions,
      head: model.head,
      hasLoss: true
    )
    let key = PlanKey(request: request, part: part)
    if let known = plans[key] { return known }
    let whole = try FineTuningError.inModel(model.request.directory) {
      try model.graph(request).withFrozenProductsByParts(isTrainable: model.selection.contains)
    }
    let selection = model.selection
    let split =
      hoists ? GraphSplit(whole, isTrainable: selection.contains) : GraphSplit(uncut: whole)
    let graph = try FineTuningError.inGraph { () throws(GraphError) in
      switch part {
      case .prefix: split.prefix
      case .suffix: split.suffix
      case .training(let ending, let passes, let arenaBudget):
        try TrainingGraph(
          split.suffix,
          isTrainable: selection.contains,
          columns: selection.fractions,
          ending: ending,
          passes: passes,
          arenaBudget: arenaBudget
        ).graph
      }
    }
    let ends = part == .prefix ? graph.outputs : graph.inputs
    let boundary = split.boundary.compactMap { name in
      ends.first { $0.name == name }.map { end in
        BoundaryValue(name: name, graph.type(of: end.value).shape, sequences: batch.sequences)
      }
    }
    // Inputs of a training step are set before each.
    let keepsInputs = if case .training = part { false } else { true }
    let plan = ExecutionPlan(
      graph,
      threads: workspace.team.threadCount,
      keepsInputs: keepsInputs
    )
    let bound = try FineTuningError.inPlan { () throws(ExecutionError) in
      try BoundPlan(plan, in: workspace)
    }
    let made = BatchPlan(plan: bound, boundary: boundary)
    plans[key] = made
    return made
  }
}

/// A value between prefix and suffix: one row a position, or one a sequence.
private struct BoundaryValue {
  let name: String
  /// Rows of one sequence, padding included.
  let rows: Int
  let columns: Int

  init(name: String, _ shape: Shape, sequences: Int) {
    self.name = name
    rows = shape.rows / sequences
    columns = shape.columns
  }

  /// Elements of a sequence of so many positions.
  func count(positions: Int) -> Int { min(rows, positions) * columns }
}
