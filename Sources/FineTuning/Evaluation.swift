// Apache-2.0.
import Datasets
public import FederatedCore
import Glibc

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
  /// Evaluates a version on `data`.
  ///
  /// - Throws: `FineTuningError.data` where no prediction counts.
  public func evaluate(
    _ updates: [WeightUpdate],
    on data: ClientData,
    progress: (Int) -> Void = { _ in }
  ) throws(FineTuningError) -> Evaluation {
    load(updates)
    return try evaluate(data, progress: progress)
  }

  /// Evaluates the present weights on `data`.
  ///
  /// Examples of similar length share a batch; sums are taken in the order of the examples, so that
  /// the batch size changes no bit.
  ///
  /// - Parameter progress: called after each batch with the examples done.
  /// - Throws: `FineTuningError.data` where no prediction counts.
  public func evaluate(
    _ data: ClientData,
    progress: (Int) -> Void = { _ in }
  ) throws(FineTuningError) -> Evaluation {
    let examples = data.dataset.examples
    var sums = [Double](repeating: 0, count: examples.count)
    var (counted, correct) = (0, 0)
    let order = examples.indices.sorted {
      (examples[$0].tokens.count, $0) < (examples[$1].tokens.count, $1)
    }
    for start in stride(from: 0, to: order.count, by: data.batchSize) {
      let chosen = order[start..<min(order.count, start + data.batchSize)]
      let prepared = try prepare(chosen.map { examples[$0] }, rows: data.batchSize)
      for (example, sum) in zip(chosen, try prepared.lossSums()) { sums[example] = sum }
      counted += prepared.batch.countedLabels
      correct += try prepared.correct()
      progress(chosen.endIndex)
    }
    guard counted > 0 else { throw .data("no prediction counts: the data has no labels") }
    return Evaluation(
      examples: examples.count,
      predictions: counted,
      meanLoss: sums.reduce(0, +) / Double(counted),
      accuracy: Double(correct) / Double(counted)
    )
  }
}
