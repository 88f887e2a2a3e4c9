// Apache-2.0.
import Codecs
import CommandLineTool
import Datasets
import FineTuning
import GraphCompiler
import ModelFiles

/// The same batch at every step: what an optimiser does, for comparison with other frameworks.
struct BatchTraining {
  let trainer: GradientTrainer
  let examples: [Example]

  /// The loss before each of `steps` steps and after the last.
  func run(_ steps: Int, rate: RateSchedule, on console: Console) throws -> [Float] {
    var losses: [Float] = []
    var bar = ProgressBar("train", total: steps, on: console)
    for step in 1...steps {
      losses.append(try trainer.step(examples, rows: examples.count, rate: rate.rate(of: step)))
      bar.update(step, detail: "loss \(losses[step - 1])")
    }
    bar.finish()
    losses.append(try trainer.loss(examples, rows: examples.count))
    return losses
  }
}

/// Writes numbers as a JSON array.
func write(_ numbers: [Float], toJSON path: String) throws(ModelFileError) {
  let json = JSONValue.array(numbers.map { .number(Double($0)) })
  try ModelFolder.write(Array((json.serialized() + "\n").utf8), to: path)
}
