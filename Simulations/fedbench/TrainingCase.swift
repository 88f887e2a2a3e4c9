// Apache-2.0.
import Execution
import FineTuning
import GraphCompiler
import Tensors

/// A training step of a model under a scheme, ready to be run and measured.
struct TrainingCase {
  /// What of the model learns, and how.
  struct Choice {
    let scheme: UpdateScheme
    let optimizer: (name: String, rule: Optimizer)
    var threads = 1
    var frozen = FrozenWeights.stored
    /// Whether the frozen prefix is computed before the first step alone.
    var hoists = false
    /// Bytes that values may take.
    var arenaBudget: Int?
    /// Whether frozen matrices are packed once.
    var packsFrozen = false
    /// Operators are timed in runs that set no inputs.
    var keepsInputs = false
    /// Whether weights lie in a mapped file, as those of a model do.
    var isMapped = false
  }

  let model: BenchModel
  let choice: Choice
  /// Floating-point operations of the step as it is run.
  let flops: Int
  let plan: BoundPlan
  /// Bytes the plan says the process will grow by.
  let plannedBytes: Int
  /// Bytes the process had before weights and arena were there.
  let bytesBefore: Int
  private let features: [(name: String, values: [Float])]

  /// Nil where the scheme chooses nothing in the model.
  init?(_ model: BenchModel, _ choice: Choice) throws {
    let forward = choice.scheme.adapted(try model.graph(hasLoss: true))
    guard let selection = try? choice.scheme.selection(forward) else { return nil }
    self.model = model
    self.choice = choice
    let whole = forward.withFrozenProductsByParts(isTrainable: selection.contains)
    let split =
      choice.hoists
      ? GraphSplit(whole, isTrainable: selection.contains) : GraphSplit(uncut: whole)
    let training = try TrainingGraph(
      split.suffix,
      isTrainable: selection.contains,
      columns: selection.fractions,
      ending: .update(choice.optimizer.rule),
      passes: choice.packsFrozen ? .all.union(.packedWeights) : .all,
      arenaBudget: choice.arenaBudget
    )
    flops = training.graph.flops
    let plan = ExecutionPlan(
      training.graph,
      threads: choice.threads,
      keepsInputs: choice.keepsInputs
    )
    let table =
      choice.isMapped
      ? try model.mappedTable(for: forward, isTrainable: selection.contains)
      : model.table(for: forward, isTrainable: selection.contains, frozen: choice.frozen)
    let report = PlanReport(
      plan,
      threads: choice.threads,
      weightBytes: 4 * table.trainableCount
    )
    plannedBytes = report.totalBytes - report.stackBytes
    let team = ThreadTeam(threads: choice.threads)
    ResidentMemory.resetPeak()
    bytesBefore = ResidentMemory.now()
    let workspace = Workspace(table, team: team, perturbs: false)
    var features: [(name: String, values: [Float])] = []
    if !split.boundary.isEmpty {
      let prefix = try BoundPlan(
        ExecutionPlan(split.prefix, threads: choice.threads),
        in: workspace
      )
      try model.fill(prefix)
      prefix.run()
      for name in split.boundary { features.append((name, try prefix.floats(name))) }
    }
    self.features = features
    self.plan = try BoundPlan(plan, in: workspace)
    if choice.keepsInputs { try setInputs() }
  }

  /// As in `MiniLM 8x128, full, SGD, 1 threads`.
  var title: String {
    let held = choice.frozen == .stored ? "" : ", frozen \(choice.frozen)"
    let hoisted = choice.hoists ? ", hoisted" : ""
    return "train \(model.name), \(choice.scheme)\(held)\(hoisted), \(choice.optimizer.name), "
      + "\(choice.threads) threads"
  }

  private func setInputs() throws {
    try model.fill(plan)
    for (name, values) in features
    where plan.plan.graph.inputs.contains(where: { $0.name == name }) {
      try plan.set(name, floats: values)
    }
    try plan.set(
      TrainingGraph.schedule,
      floats: choice.optimizer.rule.schedule(rate: 1e-6, step: 1)
    )
  }

  /// Sets the inputs and takes a step.
  func step() throws {
    try setInputs()
    plan.run()
  }
}
