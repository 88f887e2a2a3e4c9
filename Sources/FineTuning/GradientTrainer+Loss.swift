// Apache-2.0.
public import Datasets

extension GradientTrainer {
  /// The mean loss of what counts at the present weights; no step.
  public func loss(_ examples: [Example], rows: Int) throws(FineTuningError) -> Float {
    try workspace.prepare(examples, rows: rows).meanLoss()
  }
}
