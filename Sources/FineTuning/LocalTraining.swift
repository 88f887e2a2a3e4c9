// Apache-2.0.
public import Datasets
import Execution

/// How long and in what portions a model is trained on one machine.
public struct TrainingSettings: Sendable, Hashable {
  /// Times every example is visited.
  public var epochs: Int
  /// Examples of a batch.
  public var batchSize: Int
  /// Batches of a step.
  public var accumulation: Int
  /// Key of the order of examples.
  public var seed: UInt64
  /// Steps at most; all of the epochs where nil.
  public var maximumSteps: Int?

  /// Settings.
  public init(
    epochs: Int = 3,
    batchSize: Int = 8,
    accumulation: Int = 1,
    seed: UInt64 = 0,
    maximumSteps: Int? = nil
  ) {
    self.epochs = epochs
    self.batchSize = batchSize
    self.accumulation = accumulation
    self.seed = seed
    self.maximumSteps = maximumSteps
  }
}

/// How far a training has got; with weights and states all that is needed to go on.
public struct TrainingProgress: Sendable, Hashable {
  /// Steps taken.
  public internal(set) var step = 0
  /// The lowest loss an evaluation found.
  public internal(set) var bestLoss: Double?
  /// Evaluations since.
  public internal(set) var evaluationsSinceBest = 0
}

/// The training of a model on the examples of one machine, step by step.
///
/// The same seed, examples and settings give the same weights, whether it was interrupted or not.
public final class LocalTraining {
  /// What takes the steps.
  public let trainer: GradientTrainer
  /// How long and in what portions.
  public let settings: TrainingSettings
  /// How far it has got.
  public internal(set) var progress = TrainingProgress()
  let examples: [Example]
  private let order: BatchOrder
  private var epoch: (number: Int, batches: [[Int]])?

  /// A training before its first step.
  ///
  /// - Throws: `FineTuningError.data` where there are no examples.
  public init(
    _ trainer: GradientTrainer,
    examples: [Example],
    settings: TrainingSettings
  ) throws(FineTuningError) {
    guard !examples.isEmpty else { throw .data("no examples to train on") }
    self.trainer = trainer
    self.examples = examples
    self.settings = settings
    order = BatchOrder(
      lengths: examples.map(\.tokens.count),
      batchSize: max(1, min(settings.batchSize, examples.count)),
      key: settings.seed
    )
  }

  /// Steps of an epoch; the last may have fewer batches.
  public var stepsPerEpoch: Int {
    (order.count + settings.accumulation - 1) / settings.accumulation
  }

  /// Steps of the whole training.
  public var stepCount: Int {
    min(settings.maximumSteps ?? .max, settings.epochs * stepsPerEpoch)
  }

  /// Whether all steps are taken.
  public var isDone: Bool { progress.step >= stepCount }

  /// Whether the last step ended an epoch.
  public var isAtEndOfEpoch: Bool { progress.step % stepsPerEpoch == 0 }

  /// The batches of the next step.
  public var nextBatches: [[Example]] {
    let number = progress.step / stepsPerEpoch
    if epoch?.number != number { epoch = (number, order.batches(epoch: number)) }
    let batches = epoch?.batches ?? []
    let first = progress.step % stepsPerEpoch * settings.accumulation
    return batches[first..<min(batches.count, first + settings.accumulation)].map { batch in
      batch.map { examples[$0] }
    }
  }

  /// The next step.
  ///
  /// - Returns: the mean loss of its batches before the step, and their tokens; an example of values counts
  ///   as one.
  public func step(rate: RateSchedule) throws(FineTuningError) -> (loss: Float, tokens: Int) {
    let chosen = nextBatches
    let size = rate.rate(of: progress.step + 1)
    let loss =
      settings.accumulation == 1
      ? try trainer.step(chosen[0], rows: order.batchSize, rate: size)
      : try trainer.step(accumulating: chosen, rows: order.batchSize, rate: size)
    progress.step += 1
    let tokens = chosen.joined().reduce(0) { $0 + max(1, $1.tokens.count) }
    return (loss, tokens)
  }

  /// Takes note of what an evaluation found; whether it is the best so far.
  public func record(evaluatedLoss loss: Double) -> Bool {
    if let best = progress.bestLoss, best <= loss || loss.isNaN {
      progress.evaluationsSinceBest += 1
      return false
    }
    progress.bestLoss = loss
    progress.evaluationsSinceBest = 0
    return true
  }
}
