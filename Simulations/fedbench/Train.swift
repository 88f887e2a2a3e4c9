// Apache-2.0.
import CommandLineTool
import Execution
import FineTuning
import GraphCompiler

/// What a whole training step takes, and what is left of it under sparse schemes.
let trainBenchmark = Command(
  "train",
  "Training steps of models, whole and under sparse schemes, against the bound of the work.",
  options: [
    .value(
      "model",
      "WORD",
      "Models with this in their name, mobilenet among them (MiniLM, Llama)."
    ),
    .value("scheme", "S", "Only this scheme, beside the full step."),
    .value("optimizer", "sgd|adamw", "Only this optimizer for the full step."),
    .value("frozen", "int8|bf16|stored", "How matrices that do not train are held (stored)."),
    .value("arena", "MIB", "Most that values may take; results are made again to keep to it."),
    .flag("pack-frozen", "Pack frozen matrices once instead of in every step."),
    .flag("hoisted", "Steps on batches whose frozen prefix is already kept: a second epoch."),
    .flag("operators", "Print the time of each kind of operator."),
    .flag("memory", "Print planned and measured memory of the process instead of times."),
    threadsOption,
  ],
  notes: """
    The bound of a scheme is the time of the full step, measured in turn with it, by the ratio of \
    the work. Benchmarks/train.py and vision.py measure the same models in PyTorch. For --memory set \
    GLIBC_TUNABLES=glibc.malloc.mmap_threshold=65536 and take one model and one scheme: the peak \
    of the process is that of all before, and memory that one case has freed serves the next.
    """
) { arguments, console in
  let optimizers: [(name: String, rule: Optimizer)] = [("SGD", .sgd()), ("AdamW", .adamW())]
  let only = arguments.value("scheme")
  let asked = arguments.value("frozen") ?? FrozenWeights.stored.rawValue
  guard let frozen = FrozenWeights(rawValue: asked) else {
    throw CommandFailure.usage("--frozen \(asked) is none of int8, bf16 and stored")
  }
  var arenaBudget: Int?
  if let text = arguments.value("arena") {
    guard let mebibytes = Int(text), mebibytes > 0, mebibytes < 1 << 20 else {
      throw CommandFailure.usage("--arena \(text): expected a number of MiB")
    }
    arenaBudget = mebibytes << 20
  }
  let schemes =
    try only.map { [try UpdateScheme($0)] }
    ?? ["blocks:last=2+head", "bias", "bias:last=2", "lora:rank=8", "head"]
    .map { try UpdateScheme($0) }
  let full = try UpdateScheme("full")
  let isMemory = arguments.isSet("memory")
  func choice(_ scheme: UpdateScheme, _ index: Int, _ threads: Int) -> TrainingCase.Choice {
    var choice = TrainingCase.Choice(scheme: scheme, optimizer: optimizers[index])
    choice.threads = threads
    choice.arenaBudget = arenaBudget
    choice.packsFrozen = arguments.isSet("pack-frozen")
    choice.keepsInputs = arguments.isSet("operators")
    choice.isMapped = isMemory
    if scheme.terms != full.terms {
      choice.frozen = frozen
      choice.hoists = arguments.isSet("hoisted")
    }
    return choice
  }
  let models = try BenchModel.trained(arguments.value("model"))
  for model in models {
    for threads in try threadCounts(arguments) {
      if isMemory {
        let wholes = only == nil || schemes[0].terms == full.terms ? [(full, 0), (full, 1)] : []
        let parts = schemes.filter { $0.terms != full.terms }.map { ($0, 0) }
        for (scheme, index) in wholes + parts {
          guard arguments.accepts(optimizers[index].name) else { continue }
          guard let made = try TrainingCase(model, choice(scheme, index, threads)) else { continue }
          try made.writeMemory(to: console)
        }
        continue
      }
      for index in optimizers.indices where only == nil || schemes[0].terms == full.terms {
        guard arguments.accepts(optimizers[index].name) else { continue }
        guard let made = try TrainingCase(model, choice(full, index, threads)) else { continue }
        let measured = try Measurement.of(runs: 5) { try made.step() }
        ReportRow(made.title, measured.median * 1e3, "ms").write(to: console)
        try made.writeDetails(measured.median, arguments, to: console)
      }
      let parts = schemes.filter { $0.terms != full.terms }
      guard !parts.isEmpty, let whole = try TrainingCase(model, choice(full, 0, threads)) else {
        continue
      }
      for scheme in parts {
        guard let made = try TrainingCase(model, choice(scheme, 0, threads)) else { continue }
        let (all, part) = try Measurement.inTurn(
          runs: 5,
          { try whole.step() },
          { try made.step() }
        )
        let bound = all.median * Double(made.flops) / Double(whole.flops)
        ReportRow(made.title, part.median * 1e3, "ms", floor: ("bound", bound * 1e3))
          .write(to: console)
        ReportRow("  full step beside it", all.median * 1e3, "ms").write(to: console)
        ReportRow("  times as fast as it", all.median / part.median, "").write(to: console)
        ReportRow("  share of the bound", 100 * bound / part.median, "%").write(to: console)
        try made.writeDetails(part.median, arguments, to: console)
      }
    }
  }
  return .ok
}

extension Arguments {
  /// Whether `--optimizer` names it, or nothing.
  fileprivate func accepts(_ optimizer: String) -> Bool {
    value("optimizer").map { $0 == optimizer.lowercased() } ?? true
  }
}

extension TrainingCase {
  /// Work a second and arena; operators where asked.
  fileprivate func writeDetails(
    _ seconds: Double,
    _ arguments: Arguments,
    to console: Console
  ) throws {
    ReportRow("  work", Double(flops) / seconds * 1e-9, "GFLOP/s").write(to: console)
    ReportRow("  arena", Double(plan.plan.arenaBytes) / 1_048_576, "MiB").write(to: console)
    guard arguments.isSet("operators") else { return }
    for (operation, seconds) in plan.profile(runs: 5) {
      ReportRow("  \(operation)", seconds * 1e3, "ms").write(to: console)
    }
  }

  /// Growth against the plan, and what the whole process took at most.
  fileprivate func writeMemory(to console: Console) throws {
    for _ in 0..<2 { try step() }
    let peak = ResidentMemory.peak()
    ReportRow(
      title,
      Double(peak - bytesBefore) / 1_048_576,
      "MiB",
      floor: ("planned", Double(plannedBytes) / 1_048_576)
    ).write(to: console)
    ReportRow("  whole process", Double(peak) / 1_048_576, "MiB").write(to: console)
  }
}
