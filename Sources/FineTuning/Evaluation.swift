// Apache-2.0.
import Datasets
import Glibc
import Models

/// How good a version is on some examples.
public struct Evaluation: Sendable, Equatable {
  /// Examples seen.
  public let examples: Int
  /// Predictions counted: tokens, or examples of a classifier.
  public let predictions: Int
  /// Mean cross-entropy of a counted prediction, in nats.
  public let meanLoss: Double
  /// Share of counted predictions that were right.
  public let accuracy: Double

  /// e to the mean loss.
  public var perplexity: Double { exp(meanLoss) }
}

extension TrainerWorkspace {
  /// Evaluates the present weights on `data`, in the order of its examples.
  ///
  /// - Parameter progress: called after each batch with the examples done.
  /// - Throws: `FineTuningError.data` where no prediction counts.
  public func evaluate(
    _ data: ClientData,
    progress: (Int) -> Void = { _ in }
  ) throws(FineTuningError) -> Evaluation {
    var (total, counted, correct) = (0.0, 0, 0)
    let examples = data.dataset.examples
    for start in stride(from: 0, to: examples.count, by: data.batchSize) {
      let range = start..<min(examples.count, start + data.batchSize)
      let prepared = try prepare(
        Array(examples[range]),
        rows: data.batchSize,
        features: data.features,
        keys: Array(range)
      )
      total += try prepared.totalLoss()
      counted += prepared.batch.countedLabels
      correct += try prepared.correct()
      progress(range.upperBound)
    }
    guard counted > 0 else { throw .data("no prediction counts: the data has no labels") }
    return Evaluation(
      examples: examples.count,
      predictions: counted,
      meanLoss: total / Double(counted),
      accuracy: Double(correct) / Double(counted)
    )
  }
}
