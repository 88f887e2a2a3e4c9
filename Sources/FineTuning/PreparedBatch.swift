// Apache-2.0.
import Execution

/// A batch whose inputs are set.
struct PreparedBatch {
  let plan: BoundPlan
  let batch: Batch

  /// Runs at w or at w + epsilon·z; the mean loss of what counts, summed in a fixed order.
  func meanLoss(epsilon: Float? = nil) throws(FineTuningError) -> Float {
    let sums = try lossSums(epsilon: epsilon)
    return Float(sums.reduce(0, +) / Double(max(1, batch.countedLabels)))
  }

  /// Runs at w or at w + epsilon·z; the sum of the losses of each row of the batch.
  func lossSums(epsilon: Float? = nil) throws(FineTuningError) -> [Double] {
    plan.run(epsilon: epsilon)
    let losses = try FineTuningError.inPlan { () throws(ExecutionError) in
      try plan.floats("losses")
    }
    let size = losses.count / batch.sequences
    return (0..<batch.sequences).map { row in
      losses[row * size..<(row + 1) * size].reduce(0.0) { $0 + Double($1) }
    }
  }

  /// How many predictions of the last run are their labels.
  func correct() throws(FineTuningError) -> Int {
    let predictions = try FineTuningError.inPlan { () throws(ExecutionError) in
      try plan.integers("predictions")
    }
    return zip(predictions, batch.labels).count { $1 >= 0 && $0 == $1 }
  }
}
