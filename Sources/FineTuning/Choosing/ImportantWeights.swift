// Apache-2.0.
public import Datasets
import Execution
import FederatedCore
import GraphCompiler
import Models
import Tensors

/// Which matrices of a model are worth an adapter, measured on public examples before a run.
///
/// All candidates get an adapter and train together for some steps of AdamW; in each the sensitivity
/// of the loss to every product is taken (`ProductSensitivity`) and smoothed over the steps. The most
/// sensitive matrices keep theirs. As FedPipe does on its servers; here whoever submits a run chooses
/// once, and the choice stands in the run's configuration.
public struct ImportantWeights {
  /// How the measuring goes.
  public struct Settings: Sendable, Hashable {
    /// Matrices that are chosen.
    public var count: Int
    /// Steps of the measurement.
    public var steps: Int
    /// Step size of AdamW.
    public var rate: Float
    /// Examples of a batch.
    public var batchSize: Int
    /// Key of the order of examples.
    public var seed: UInt64

    /// Settings.
    public init(count: Int, steps: Int, rate: Float, batchSize: Int, seed: UInt64) {
      self.count = count
      self.steps = steps
      self.rate = rate
      self.batchSize = batchSize
      self.seed = seed
    }
  }

  /// A matrix and how sensitive the loss is to its adapter.
  public struct Importance: Sendable, Hashable {
    /// Name without `.weight`, as a scheme's `targets` take it.
    public let module: String
    /// Smoothed sensitivity.
    public let sensitivity: Double
  }

  /// How much of the sensitivity before a step stays (AdaLoRA's β₁).
  private static let memory = 0.85

  private let workspace: TrainerWorkspace
  private let rank: Int

  /// A measurement of a model whose scheme has adapters beside all candidates.
  ///
  /// - Throws: `FineTuningError.scheme` where it has none.
  public init(_ model: LoadedModel, threads: Int) throws(FineTuningError) {
    guard let rank = model.request.scheme?.rank else {
      throw .scheme(
        model.request.scheme?.description ?? "none",
        reason: "important weights are chosen for adapters; write lora:rank=8"
      )
    }
    self.rank = rank
    workspace = try TrainerWorkspace(model, team: ThreadTeam(threads: threads), perturbs: false)
  }

  /// The candidates, the most important first, equal ones by name.
  ///
  /// - Throws: `FineTuningError` where there are no examples or a loss is not finite.
  public func measure(
    _ examples: [Example],
    _ settings: Settings
  ) throws(FineTuningError) -> [Importance] {
    let trainer = GradientTrainer(workspace, optimizer: .adamW())
    let training = try LocalTraining(
      trainer,
      examples: examples,
      settings: TrainingSettings(
        epochs: .max >> 32,
        batchSize: settings.batchSize,
        seed: settings.seed,
        maximumSteps: settings.steps
      )
    )
    let suffix = ".lora_A.weight"
    let modules = workspace.model.blocks.map(\.name).filter { $0.hasSuffix(suffix) }
      .map { String($0.dropLast(suffix.count)) }
    var smoothed = [Double](repeating: 0, count: modules.count)
    let schedule = RateSchedule(peak: settings.rate, steps: settings.steps)
    while !training.isDone {
      let batch = training.nextBatches[0]
      let (loss, gradients) = try trainer.gradients(
        batch,
        rows: max(1, min(settings.batchSize, examples.count))
      )
      guard loss.isFinite else {
        throw .data("the loss of the calibration data is \(loss); lower its learning_rate")
      }
      for (index, module) in modules.enumerated() {
        let names = (a: module + suffix, b: module + ".lora_B.weight")
        guard let a = workspace.workspace.weights(of: names.a), let slopeA = gradients[names.a],
          let b = workspace.workspace.weights(of: names.b), let slopeB = gradients[names.b]
        else { continue }
        let found = ProductSensitivity(rank: rank, a: (a, slopeA), b: (b, slopeB)).value
        smoothed[index] = Self.memory * smoothed[index] + (1 - Self.memory) * found
      }
      _ = try training.step(rate: schedule)
    }
    return zip(modules, smoothed).map { Importance(module: $0, sensitivity: $1) }
      .sorted { ($1.sensitivity, $0.module) < ($0.sensitivity, $1.module) }
  }
}

extension UpdateScheme {
  /// The scheme, as written, with adapters beside these modules alone.
  ///
  /// - Throws: `FineTuningError.scheme` where a name cannot stand in a scheme.
  func targeting(_ modules: [String]) throws(FineTuningError) -> UpdateScheme {
    let parts = description.split(separator: "+").map { part in
      guard part.hasPrefix("lora:") else { return String(part) }
      let options = part.split(separator: ",").filter { !$0.hasPrefix("targets=") }
      return options.joined(separator: ",") + ",targets=" + modules.joined(separator: "/")
    }
    return try UpdateScheme(parts.joined(separator: "+"))
  }
}
