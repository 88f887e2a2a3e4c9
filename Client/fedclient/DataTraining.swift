// Apache-2.0.
import Codecs
import CommandLineTool
import Datasets
import FineTuning
import FederatedCore
import ModelFiles
import Models
import Telemetry

/// Fine-tuning on a data file: bar, evaluations, checkpoints, the best weights in the output folder.
struct DataTraining {
  let training: LocalTraining
  let rate: RateSchedule
  let heldOut: ClientData?
  let output: TrainingOutput
  /// Steps between evaluations; nil for the end of every epoch.
  let evaluationInterval: Int?
  /// Evaluations without a better one after which it stops.
  let patience: Int?
  /// Steps between checkpoints.
  let checkpointInterval: Int
  /// Where the batches of every step go, for comparison with other frameworks.
  let batchLog: String?
  /// What the training is, so that a checkpoint is not mistaken for that of another.
  let name: String

  /// Where the training stands.
  enum End {
    case done, early, interrupted
  }

  /// Trains to the end, to an early stop, or until `isStopped`.
  func run(on console: Console, isStopped: () -> Bool) throws -> End {
    let clock = ContinuousClock()
    let start = clock.now
    let first = training.progress.step
    var tokens = 0
    let unit = training.trainer.workspace.model.family.valueCount > 0 ? "examples" : "tokens"
    var shown: Float?
    var logged: [UInt8] = []
    var bar = ProgressBar("train", total: training.stepCount, on: console)
    while !training.isDone {
      if batchLog != nil {
        for batch in training.nextBatches { logged += Array(line(batch).utf8) }
      }
      let (loss, count) = try training.step(rate: rate)
      guard loss.isFinite else {
        throw CommandFailure(
          "step \(training.progress.step): the loss is \(loss); take a smaller --lr or --clip-norm"
        )
      }
      tokens += count
      shown = shown.map { 0.9 * $0 + 0.1 * loss } ?? loss
      let seconds = (clock.now - start) / .seconds(1)
      let step = training.progress.step
      let left = seconds / Double(step - first) * Double(training.stepCount - step)
      bar.update(
        step,
        detail: "loss \(decimal(Double(shown ?? loss), 4)), \(Int(Double(tokens) / seconds)) "
          + "\(unit)/s, \(duration(left)) left"
      )
      let isStopped = isStopped()
      if isEvaluationDue, try !evaluate(on: console) {
        bar.finish()
        return .early
      }
      if isStopped || step % checkpointInterval == 0 {
        try training.saveCheckpoint(to: output.checkpoint, training: name)
      }
      if isStopped {
        bar.finish()
        return .interrupted
      }
    }
    bar.finish()
    if let batchLog { try ModelFolder.write(logged, to: batchLog) }
    if heldOut == nil { try output.export(training.trainer.workspace) }
    return .done
  }

  private var isEvaluationDue: Bool {
    guard heldOut != nil else { return false }
    if training.isDone { return true }
    guard let evaluationInterval else { return training.isAtEndOfEpoch }
    return training.progress.step % evaluationInterval == 0
  }

  /// Evaluates, and keeps the weights where they are the best; whether to go on.
  private func evaluate(on console: Console) throws -> Bool {
    guard let heldOut else { return true }
    let evaluation = try training.trainer.workspace.evaluate(heldOut)
    let isBest = training.record(evaluatedLoss: evaluation.meanLoss)
    if isBest { try output.export(training.trainer.workspace) }
    if console.isTerminal { console.note("") }
    console.note(
      "step \(training.progress.step): held-out loss \(decimal(evaluation.meanLoss, 4)), accuracy "
        + "\(decimal(evaluation.accuracy, 4))\(isBest ? ", the best so far: kept" : "")"
    )
    guard let patience else { return true }
    return training.progress.evaluationsSinceBest < patience
  }
}

/// A batch as `forward` and `gradients` take it, rows as long as they are.
private func line(_ batch: [Example]) -> String {
  func rows(_ values: (Example) -> [Int32]) -> JSONValue {
    .array(batch.map { .array(values($0).map { .integer(Int64($0)) }) })
  }
  let classes = batch.compactMap(\.classIndex)
  let labels =
    classes.count == batch.count
    ? JSONValue.array(classes.map { .integer(Int64($0)) }) : rows(\.labels)
  return JSONValue.object([.init("input_ids", rows(\.tokens)), .init("labels", labels)])
    .serialized()
    + "\n"
}

/// As in `1:02:03` or `4:05`.
private func duration(_ seconds: Double) -> String {
  let all = Int(seconds.rounded())
  let (hours, minutes, rest) = (all / 3600, all / 60 % 60, all % 60)
  func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
  return hours > 0 ? "\(hours):\(two(minutes)):\(two(rest))" : "\(minutes):\(two(rest))"
}
