// Apache-2.0.
public import Datasets
public import GraphCompiler
import Execution
import Models
public import Tensors

/// Short trainings of one model under many schemes, all alike but for what learns, and the memory each
/// would take.
public struct ContributionAnalysis {
  /// What the score of a training is.
  public enum Metric: String, Sendable, CaseIterable {
    /// The mean loss on the held-out examples, negated.
    case loss
    /// The share of right predictions.
    case accuracy
  }

  /// How one training goes.
  public struct Settings: Sendable {
    /// Steps of it.
    public var steps: Int
    /// Examples of a batch.
    public var batchSize: Int
    /// How weights follow gradients.
    public var optimizer: Optimizer
    /// Step size.
    public var rate: Float
    /// Key of the order of examples.
    public var seed: UInt64
    /// What counts.
    public var metric: Metric

    /// Settings.
    public init(
      steps: Int,
      batchSize: Int,
      optimizer: Optimizer,
      rate: Float,
      seed: UInt64 = 0,
      metric: Metric = .loss
    ) {
      self.steps = steps
      self.batchSize = batchSize
      self.optimizer = optimizer
      self.rate = rate
      self.seed = seed
      self.metric = metric
    }
  }

  private let model: LoadedModel
  private let team: ThreadTeam
  private let settings: Settings

  /// An analysis of a model opened without a scheme.
  public init(_ model: LoadedModel, team: ThreadTeam, settings: Settings) {
    self.model = model
    self.team = team
    self.settings = settings
  }

  /// The model under a scheme; nil trains nothing.
  private func opened(_ scheme: UpdateScheme?) throws(FineTuningError) -> LoadedModel {
    let request = model.request
    return try LoadedModel(
      ModelRequest(
        directory: request.directory,
        head: model.head,
        scheme: scheme,
        headSeed: request.headSeed,
        featureBytes: request.featureBytes,
        frozen: request.frozen
      )
    )
  }

  /// How good the model is after a training under a scheme: higher is better.
  public func score(
    _ scheme: UpdateScheme?,
    training: [Example],
    heldOut: ClientData
  ) throws(FineTuningError) -> Double {
    let workspace = try TrainerWorkspace(try opened(scheme), team: team, perturbs: false)
    if scheme != nil {
      let trainer = GradientTrainer(workspace, optimizer: settings.optimizer)
      let run = try LocalTraining(
        trainer,
        examples: training,
        settings: TrainingSettings(
          epochs: .max >> 32,
          batchSize: settings.batchSize,
          seed: settings.seed,
          maximumSteps: settings.steps
        )
      )
      let rate = RateSchedule(peak: settings.rate, steps: settings.steps)
      while !run.isDone { _ = try run.step(rate: rate) }
    }
    let evaluation = try workspace.evaluate(heldOut)
    let score = settings.metric == .loss ? -evaluation.meanLoss : evaluation.accuracy
    // A training that diverged is worth less than any other.
    return score.isFinite ? score : -1e9
  }

  /// Bytes a step of a scheme takes by its plan: weights, states, values, scratch and stacks.
  ///
  /// - Parameter positions: of the longest row.
  public func plannedBytes(
    _ scheme: UpdateScheme?,
    positions: Int
  ) throws(FineTuningError) -> Int {
    guard let scheme else { return 0 }
    return try opened(scheme).stepReport(
      rows: settings.batchSize,
      positions: min(Batch.bucket(max(1, positions)), model.family.maximumPositions),
      optimizer: settings.optimizer,
      threads: team.threadCount
    ).totalBytes
  }
}
