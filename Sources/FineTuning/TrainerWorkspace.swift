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
  private var plans: [PlanKey: BoundPlan] = [:]
  private var splits: [GraphRequest: GraphSplit] = [:]
  /// Whether part of the model comes before every tensor that can change.
  private let hasFrozenPrefix: Bool

  private enum Part: Hashable {
    case prefix
    case suffix
  }

  private struct PlanKey: Hashable {
    let request: GraphRequest
    let part: Part
  }

  /// A workspace at the base weights.
  ///
  /// - Parameter hoistsFrozenPrefix: whether the part before the first tensor that can change is
  ///   computed once an example and kept.
  public init(
    _ model: LoadedModel,
    team: ThreadTeam,
    hoistsFrozenPrefix: Bool = true
  ) throws(FineTuningError) {
    self.model = model
    workspace = Workspace(model.table, team: team)
    let smallest = GraphRequest(sequences: 1, positions: 1, head: model.head, hasLoss: true)
    let graph = try FineTuningError.inModel(model.request.directory) {
      try model.family.graph(smallest)
    }
    let split = GraphSplit(graph, isTrainable: model.request.trainable.contains)
    // Where nothing can change there is no second visit to save.
    hasFrozenPrefix =
      hoistsFrozenPrefix && split.prefix.flops > 0 && !split.suffix.nodes.isEmpty
  }

  /// Bytes held: trainable weights, direction, arena and scratch.
  public var byteCount: Int { workspace.byteCount + model.table.byteCount }

  /// Whether part of the model is computed once an example and kept.
  public var hoists: Bool { hasFrozenPrefix }

  /// The losses and predictions of a batch, ready to be run with `run`.
  ///
  /// - Parameters:
  ///   - examples: at most `rows`.
  ///   - keys: what names each example in `cache`; empty: no cache.
  func prepare(
    _ examples: [Example],
    rows: Int,
    features: FeatureCache?,
    keys: [Int]
  ) throws(FineTuningError) -> PreparedBatch {
    let head = model.head
    let limit = model.family.maximumPositions
    try check(examples)
    let batch = Batch(examples, rows: rows, head: head, maximumPositions: limit)
    let request = GraphRequest(
      sequences: batch.sequences,
      positions: batch.positions,
      head: head,
      hasLoss: true
    )
    guard hasFrozenPrefix else {
      let plan = try self.plan(request, .suffix) { $0.suffix }
      try set(plan, batch)
      return PreparedBatch(plan: plan, batch: batch)
    }
    let split = try self.split(request)
    var rowsOfFeatures: [[[Float]]] = []
    for (example, key) in zip(examples, keys) {
      rowsOfFeatures.append(try self.features(of: example, key: key, in: features))
    }
    let plan = try self.plan(request, .suffix) { $0.suffix }
    try set(plan, batch)
    for (index, name) in split.boundary.enumerated() {
      let value = plan.plan.graph.inputs.first { $0.name == name }?.value
      guard let count = value.map({ plan.plan.graph.type(of: $0).shape.elementCount }) else {
        continue
      }
      var floats = [Float](repeating: 0, count: count)
      let stride = count / batch.sequences
      for (row, values) in rowsOfFeatures.enumerated() {
        let feature = values[index]
        // Rows beyond the example's own length are padding, read by nobody.
        for position in 0..<min(stride, feature.count) {
          floats[row * stride + position] = feature[position]
        }
      }
      try FineTuningError.inPlan { () throws(ExecutionError) in
        try plan.set(name, floats: floats)
      }
    }
    return PreparedBatch(plan: plan, batch: batch)
  }

  /// Refuses ids and classes that the tables of the model do not have.
  private func check(_ examples: [Example]) throws(FineTuningError) {
    let vocabulary = Int32(clamping: model.family.vocabularyCount)
    for example in examples {
      guard example.tokens.allSatisfy({ $0 >= 0 && $0 < vocabulary }),
        example.labels.allSatisfy({ $0 < vocabulary })
      else { throw .data("a token id lies outside the model's vocabulary of \(vocabulary)") }
      if case .classifier(let classes) = model.head, let index = example.classIndex {
        guard index < classes else { throw .data("class \(index) of \(classes)") }
      }
    }
  }

  /// What the frozen prefix makes of one example.
  ///
  /// Always computed alone and padded by its own length, so that its bits do not depend on the batch
  /// in which it is met first.
  private func features(
    of example: Example,
    key: Int,
    in cache: FeatureCache?
  ) throws(FineTuningError) -> [[Float]] {
    if let known = cache?[key] { return known }
    let batch = Batch(
      [example],
      rows: 1,
      head: model.head,
      maximumPositions: model.family.maximumPositions
    )
    let request = GraphRequest(
      sequences: 1,
      positions: batch.positions,
      head: model.head,
      hasLoss: true
    )
    let plan = try self.plan(request, .prefix) { $0.prefix }
    try set(plan, batch)
    plan.run()
    var values: [[Float]] = []
    for (name, _) in plan.plan.graph.outputs {
      values.append(
        try FineTuningError.inPlan { () throws(ExecutionError) in try plan.floats(name) }
      )
    }
    cache?[key] = values
    return values
  }

  private func set(_ plan: BoundPlan, _ batch: Batch) throws(FineTuningError) {
    let values = ["input_ids": batch.ids, "lengths": batch.lengths, "labels": batch.labels]
    for (name, _) in plan.plan.graph.inputs {
      guard let integers = values[name] else { continue }
      try FineTuningError.inPlan { () throws(ExecutionError) in
        try plan.set(name, integers: integers)
      }
    }
  }

  private func split(_ request: GraphRequest) throws(FineTuningError) -> GraphSplit {
    if let known = splits[request] { return known }
    let graph = try FineTuningError.inModel(model.request.directory) {
      try model.family.graph(request)
    }
    let selection = model.request.trainable
    let made = GraphSplit(graph) { name in !hasFrozenPrefix || selection.contains(name) }
    splits[request] = made
    return made
  }

  private func plan(
    _ request: GraphRequest,
    _ part: Part,
    _ graph: (GraphSplit) -> Graph
  ) throws(FineTuningError) -> BoundPlan {
    let key = PlanKey(request: request, part: part)
    if let known = plans[key] { return known }
    let plan = ExecutionPlan(
      graph(try split(request)),
      threads: workspace.team.threadCount
    )
    let made = try FineTuningError.inPlan { () throws(ExecutionError) in
      try BoundPlan(plan, in: workspace)
    }
    plans[key] = made
    return made
  }
}

/// A batch whose inputs are set.
struct PreparedBatch {
  let plan: BoundPlan
  let batch: Batch

  /// Runs at w or at w + epsilon·z; the mean loss of what counts, summed in a fixed order.
  func meanLoss(epsilon: Float? = nil) throws(FineTuningError) -> Float {
    Float(try totalLoss(epsilon: epsilon) / Double(max(1, batch.countedLabels)))
  }

  /// Runs at w or at w + epsilon·z; the sum of the losses.
  func totalLoss(epsilon: Float? = nil) throws(FineTuningError) -> Double {
    plan.run(epsilon: epsilon)
    let losses = try FineTuningError.inPlan { () throws(ExecutionError) in
      try plan.floats("losses")
    }
    return losses.reduce(0) { $0 + Double($1) }
  }

  /// How many predictions of the last run are their labels.
  func correct() throws(FineTuningError) -> Int {
    let predictions = try FineTuningError.inPlan { () throws(ExecutionError) in
      try plan.integers("predictions")
    }
    return zip(predictions, batch.labels).count { $1 >= 0 && $0 == $1 }
  }
}

/// What the frozen prefix made of examples, kept up to a number of bytes.
public final class FeatureCache {
  private var values: [Int: [[Float]]] = [:]
  private let limit: Int
  /// Bytes of features held.
  public private(set) var byteCount = 0

  /// A cache of at most `limit` bytes; what comes later is computed again each time.
  public init(limit: Int = 256 << 20) { self.limit = limit }

  subscript(key: Int) -> [[Float]]? {
    get { values[key] }
    set {
      guard let newValue, values[key] == nil else { return }
      let bytes = newValue.reduce(0) { $0 + 4 * $1.count }
      guard byteCount + bytes <= limit else { return }
      byteCount += bytes
      values[key] = newValue
    }
  }
}
