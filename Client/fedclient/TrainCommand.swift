// Apache-2.0.
import CommandLineTool
import Datasets
import FineTuning
import GraphCompiler
import Models
import SharedRandomness
import Telemetry
import Tensors

let trainCommand = Command(
  "train",
  "Fine-tune a model on this machine, without a server.",
  options: [ModelOptions.model] + ModelOptions.data + [
    .value("out", "DIR", "Folder for the model, or for the adapter of a lora scheme."),
    .value("scheme", "SCHEME", "Which parts learn (full)."),
    .value("labels", "A,B,…", "Classes of a new head; auto: the labels of the data."),
    .value("epochs", "N", "Times every example is visited (3)."),
    .value("steps", "N", "Steps at most; 20 of --batch."),
    .value("accumulate", "N", "Batches of a step (1)."),
    .value("schedule", "NAME", "constant, linear or cosine, to zero after the last step."),
    .value("warmup", "N", "Steps in which the step size rises to its peak (0)."),
    .value("seed", "N", "Order of the examples and weights of a new head (0)."),
    .value("eval-data", "FILE", "Held-out examples; the best weights on them are kept."),
    .value("hold-out", "R", "Share of the examples held out instead."),
    .value("eval-every", "N", "Steps between evaluations; by default an epoch."),
    .value("patience", "N", "Evaluations without a better one after which it stops."),
    .value("checkpoint-every", "N", "Steps between checkpoints (200)."),
    .flag("resume", "Go on from the checkpoint in --out."),
    .flag("merge", "Add adapters to the weights and write a whole model."),
    .value("batch", "FILE.json", "Instead of --data: the same batch every step, see gradients."),
    .value("log-losses", "OUT.json", "With --batch: the loss before each step and after the last."),
    .value("log-batches", "OUT.jsonl", "With --data: the batch of each step, for comparison."),
    .value("budget", "SIZE", "Refuse above so much memory; make results again to stay below."),
    ModelOptions.packFrozen,
    ModelOptions.frozen,
    ModelOptions.threads,
  ] + OptimizerOptions.all,
  notes: """
    SCHEME is a sum of terms, as in bias:last=2+head:
      full, head, blocks:last=K, bias[:last=K], weights:PATTERN[,fraction=R][,last=K],
      lora:rank=R[,alpha=A][,targets=NAME/NAME…][,last=K]
    or it is @FILE, one that choose wrote.

    A model without a head learns to tell the labels of the data. Under --labels auto so does any
    other.

    An interrupt writes a checkpoint; the same command with --resume then goes on to the same
    weights. --out is a folder of transformers, or of PEFT where adapters train.
    """
) { arguments, console in
  // Before any thread begins, so that all of them leave the signals to this one.
  let signals = arguments.value("batch") == nil ? StopSignals() : nil
  let labels = try arguments.newLabels()
  let model = try arguments.model(
    scheme: arguments.value("scheme") ?? "full",
    labels: labels,
    seed: UInt64(try arguments.integer("seed") ?? 0)
  )
  guard let signals else { return try arguments.trainOnBatch(model, on: console) }
  for name in model.newTensors.filter({ !Adapters.isPart($0) }) {
    console.note("new tensor \(name): the checkpoint lacks it")
  }
  if let labels { console.note("\(labels.count) classes: \(labels.joined(separator: ", "))") }
  if let note = model.tiedHeadNote { console.note(note) }
  let run = try arguments.dataTraining(model, labels: labels, on: console)
  let settings = run.training
  console.note(
    "\(model.parameterCount) parameters train, \(settings.stepCount) steps, "
      + "\(settings.stepsPerEpoch) an epoch"
  )
  let end = try run.run(on: console) { signals.isPending }
  switch end {
  case .interrupted:
    console.note("stopped; the same command with --resume goes on from \(run.output.checkpoint)")
    return .interrupted
  case .early: console.note("stopped early: no better evaluation in \(run.patience ?? 0)")
  case .done: break
  }
  run.output.removeCheckpoint()
  console.note("\(run.output.directory): \(run.output.isAdapter ? "adapter" : "model") written")
  return .ok
}

extension Arguments {
  /// Steps on one batch, and their losses.
  fileprivate func trainOnBatch(
    _ model: LoadedModel,
    on console: Console
  ) throws -> ExitCode {
    guard value("data") == nil, value("out") == nil else {
      throw CommandFailure.usage("--batch goes with --log-losses, not with --data and --out")
    }
    let steps = try integer("steps", in: 1...(1 << 30)) ?? 20
    let examples = try labelledRows(at: required("batch"), for: model)
    let training = BatchTraining(
      trainer: try trainer(of: model, examples, rows: examples.count, on: console),
      examples: examples
    )
    let rate = try rateSchedule(of: training.trainer.optimizer, steps: steps)
    let losses = try training.run(steps, rate: rate, on: console)
    if let path = value("log-losses") { try write(losses, toJSON: path) }
    console.note("loss \(losses[0]) before the first step, \(losses[steps]) after the last")
    return .ok
  }

  /// What takes the steps, within `--budget` on the longest of the examples.
  private func trainer(
    of model: LoadedModel,
    _ examples: [Example],
    rows: Int,
    on console: Console
  ) throws -> GradientTrainer {
    let (optimizer, clipping, threads) = (try optimizer(), try clipping(), try threads())
    var arenaBudget: Int?
    if let budget = try budget() {
      guard try integer("accumulate") ?? 1 == 1, optimizer != .delta() else {
        throw CommandFailure.usage(
          "--budget is for steps of one batch, not for --accumulate and delta"
        )
      }
      let report = try model.trainingReport(
        rows: rows,
        positions: model.paddedLength(of: examples),
        optimizer: optimizer,
        clipping: clipping,
        threads: threads,
        passes: passes,
        budget: budget
      )
      arenaBudget = report.arenaBudget
      console.note("by its plan a step takes \(mebibytes(report.plan.totalBytes)) at most")
    }
    return GradientTrainer(
      try TrainerWorkspace(model, team: ThreadTeam(threads: threads), perturbs: false),
      optimizer: optimizer,
      clipping: clipping,
      passes: passes,
      arenaBudget: arenaBudget
    )
  }

  /// A training on `--data`, at its beginning or where a checkpoint was written.
  fileprivate func dataTraining(
    _ model: LoadedModel,
    labels: [String]?,
    on console: Console
  ) throws -> DataTraining {
    let (path, out) = (try required("data"), try required("out"))
    if let batch = value("log-losses") {
      throw CommandFailure.usage("--log-losses \(batch) goes with --batch")
    }
    var data = try self.data(at: path, for: model, labels: labels)
    console.note("\(path): \(data.dataset.summary)")
    var heldOut = try value("eval-data").map { path in
      try self.data(at: path, for: model, labels: labels)
    }
    let trainer = try trainer(
      of: model,
      data.dataset.examples,
      rows: data.batchSize,
      on: console
    )
    let seed = UInt64(try integer("seed") ?? 0)
    if heldOut == nil, let share = try number("hold-out", in: 0.0001...0.9999) {
      let parts = data.heldOut(share: share, seed: seed)
      (data, heldOut) = (parts.rest, parts.heldOut)
    }
    if let heldOut { console.note("held out: \(heldOut.dataset.summary)") }
    let settings = TrainingSettings(
      epochs: try integer("epochs", in: 1...(1 << 20)) ?? 3,
      batchSize: data.batchSize,
      accumulation: try integer("accumulate", in: 1...(1 << 20)) ?? 1,
      seed: seed,
      maximumSteps: try integer("steps", in: 1...(1 << 30))
    )
    let training = try LocalTraining(trainer, examples: data.dataset.examples, settings: settings)
    let rate = try rateSchedule(of: trainer.optimizer, steps: training.stepCount)
    let output = try TrainingOutput(
      directory: out,
      isAdapter: model.exportsAsAdapter && !isSet("merge"),
      labels: labels ?? model.labels
    )
    let name = [
      "\(model.request.scheme ?? .full)", "\(trainer.optimizer)", "\(trainer.clipping)",
      "\(settings)", "\(rate)", "\(data.dataset.examples.count) examples",
      "frozen \(model.request.frozen)",
    ].joined(separator: "; ")
    if isSet("resume") {
      try training.resume(from: output.checkpoint, training: name)
      console.note("\(output.checkpoint): goes on after step \(training.progress.step)")
    }
    return DataTraining(
      training: training,
      rate: rate,
      heldOut: heldOut,
      output: output,
      evaluationInterval: try integer("eval-every", in: 1...(1 << 30)),
      patience: try integer("patience", in: 1...(1 << 30)),
      checkpointInterval: try integer("checkpoint-every", in: 1...(1 << 30)) ?? 200,
      batchLog: value("log-batches"),
      name: name
    )
  }

  /// The step size of every step.
  fileprivate func rateSchedule(
    of optimizer: Optimizer,
    steps: Int
  ) throws(CommandFailure) -> RateSchedule {
    let name = value("schedule") ?? "constant"
    guard let shape = RateSchedule.Shape(rawValue: name) else {
      let names = RateSchedule.Shape.allCases.map(\.rawValue).joined(separator: ", ")
      throw .usage("--schedule \(name) is none of \(names)")
    }
    return RateSchedule(
      peak: try learningRate(of: optimizer),
      shape: shape,
      warmup: try integer("warmup", in: 0...(1 << 30)) ?? 0,
      steps: steps
    )
  }
}

extension ClientData {
  /// A share of the examples, at least one, drawn by `seed`, and the rest of them in their order.
  func heldOut(share: Float, seed: UInt64) -> (rest: ClientData, heldOut: ClientData) {
    let count = dataset.examples.count
    let some = min(max(1, Int(share * Float(count))), max(0, count - 1))
    var stream = RandomStream(key: seed, purpose: .partition)
    let order = stream.permutation(of: count)
    return (
      ClientData(dataset.subset(order[some...].sorted()), batchSize: batchSize),
      ClientData(dataset.subset(order[..<some].sorted()), batchSize: batchSize)
    )
  }
}
