// Apache-2.0.
import Codecs
import CommandLineTool
import Datasets
import FineTuning
import FederatedCore
import Models
import SharedRandomness
import Telemetry
import Tensors

let benchCommand = Command(
  "bench",
  "Measure what this machine makes of a model: tokens, or examples of values, a second of forward "
    + "passes and of steps.",
  options: [
    ModelOptions.model,
    .value("batch-size", "N", "Examples of a batch (8)."),
    .value("length", "N", "Tokens of an example (128)."),
    .value("trainable", "GLOB", "Which tensors change in a step (*); may be repeated."),
    .value("runs", "N", "Measurements of each, of which the median counts (7)."),
    ModelOptions.threads,
  ],
  notes: """
    A step is two forward passes at w ± εz with everything around them: drawing the direction,
    perturbing, moving the weights. Texts are random tokens, examples of values random numbers: \
    times do not depend on them.
    """
) { arguments, console in
  let patterns = arguments.allValues("trainable")
  let stored = try LoadedModel(ModelRequest(directory: try arguments.required("model")))
  var head = stored.head
  if case .hidden = head { head = .classifier(classes: 2) }
  let model = try LoadedModel(
    ModelRequest(
      directory: stored.request.directory,
      head: head,
      trainable: ParameterSelection(patterns.isEmpty ? ["*"] : patterns)
    )
  )
  let batchSize = try arguments.integer("batch-size", in: 1...4096) ?? 8
  let most = max(2, model.family.maximumPositions)
  let length = try arguments.integer("length", in: 2...most) ?? 128
  let team = ThreadTeam(threads: try arguments.threads())
  let bench = try ModelBench(
    model,
    team: team,
    batchSize: batchSize,
    length: min(length, model.family.maximumPositions),
    runs: try arguments.integer("runs", in: 1...1000) ?? 7
  )
  let forward = try bench.forward()
  let step = try bench.step()
  let units = Double(bench.units)
  let unit = model.family.valueCount > 0 ? "examples" : "tokens"
  let kernels = "\(KernelTable.current.instructionSet)"
  switch console.format {
  case .json:
    console.write(
      JSONValue.object([
        .init("model", .string(stored.request.directory)),
        .init("batch_size", .integer(Int64(batchSize))),
        .init("length", .integer(Int64(bench.units / batchSize))),
        .init("threads", .integer(Int64(team.threadCount))),
        .init("kernels", .string(kernels)),
        .init("parameters", .integer(Int64(model.parameterCount))),
        .init("forward_seconds", .number(forward)),
        .init("forward_\(unit)_per_second", .number(units / forward)),
        .init("step_seconds", .number(step)),
        .init("step_\(unit)_per_second", .number(units / step)),
        .init("step_per_forward", .number(step / forward)),
        .init("mapped_bytes", .integer(Int64(model.mappedBytes))),
        .init("plan_bytes", .integer(Int64(bench.planBytes))),
      ]).serialized()
    )
  case .text:
    let batch =
      model.family.valueCount > 0
      ? "\(batchSize) examples of \(model.family.valueCount) values"
      : "\(batchSize) × \(bench.units / batchSize) tokens"
    console.write(
      "\(batch), \(team.threadCount) threads, \(kernels), \(model.parameterCount) parameters train"
    )
    console.write("forward  \(line(forward, units, unit))")
    console.write(
      "step     \(line(step, units, unit)), \(decimal(step / forward, 2)) forward passes"
    )
    console.write(
      "memory   \(mebibytes(model.mappedBytes)) mapped, \(mebibytes(bench.planBytes)) weights and plan"
    )
  }
  return .ok
}

/// Times of a model on a batch of random tokens, in seconds.
private final class ModelBench {
  private let workspace: TrainerWorkspace
  private let data: ClientData
  private let runs: Int
  private var trainer: ClientTrainer
  private let clock = ContinuousClock()

  init(
    _ model: LoadedModel,
    team: ThreadTeam,
    batchSize: Int,
    length: Int,
    runs: Int
  ) throws {
    // A step of a model whose beginning is frozen would be measured without that beginning.
    workspace = try TrainerWorkspace(model, team: team, hoistsFrozenPrefix: false)
    var stream = RandomStream(key: 0, purpose: .batch, round: 0, client: 0, step: 0)
    let vocabulary = UInt32(clamping: model.family.vocabularyCount)
    let valueCount = model.family.valueCount
    let examples = (0..<batchSize).map { _ in
      guard valueCount == 0 else {
        let values = (0..<valueCount).map { _ in Float(stream.next32() >> 8) * 0x1p-23 - 1 }
        return Example(values: values, classIndex: 0)
      }
      let tokens = (0..<length).map { _ in Int32(stream.next32() % vocabulary) }
      return Example(tokens: tokens, labels: tokens, classIndex: 0)
    }
    data = ClientData(Dataset(examples: examples), batchSize: batchSize)
    self.runs = runs
    trainer = ClientTrainer(workspace, data: data, key: 0)
  }

  /// Tokens of the batch, or examples of values.
  var units: Int { data.dataset.examples.reduce(0) { $0 + max(1, $1.tokens.count) } }

  var planBytes: Int { workspace.byteCount }

  /// A forward pass with its loss.
  func forward() throws -> Double {
    try median { _ in _ = try workspace.evaluate(data) }
  }

  /// A zeroth-order step.
  func step() throws -> Double {
    let bank = DirectionBank(family: .hadamard(log2Count: 10), key: 0, epoch: 0)
    return try median { index in
      let direction = Direction(bank: bank, index: UInt32(index % 1024))
      let address = StepAddress(round: 0, client: 0, step: UInt32(index))
      _ = try trainer.probe(direction, epsilon: 1e-3, at: address)
      try trainer.move(along: direction, by: 0)
    }
  }

  /// The median after one run that does not count.
  private func median(_ body: (Int) throws -> Void) throws -> Double {
    try body(0)
    var seconds: [Double] = []
    for run in 1...runs {
      seconds.append(try clock.measure { try body(run) } / .seconds(1))
    }
    return seconds.sorted()[runs / 2]
  }
}

private func line(_ seconds: Double, _ units: Double, _ unit: String) -> String {
  "\(decimal(1000 * seconds, 2)) ms, \(Int(units / seconds)) \(unit) a second"
}
