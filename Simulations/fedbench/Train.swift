// Apache-2.0.
import CommandLineTool
import Execution
import FineTuning
import GraphCompiler
import Tensors

/// What a whole training step takes, and what is left of it under sparse schemes.
let trainBenchmark = Command(
  "train",
  "Training steps of two models, whole and under sparse schemes, against the bound of the work.",
  options: [
    .value("scheme", "S", "Only this scheme."),
    .value("frozen", "int8|bf16|stored", "How matrices that do not train are held (stored)."),
    .flag("operators", "Print the time of each kind of operator."),
    .flag("memory", "Print the planned and the measured growth of the process instead of times."),
    threadsOption,
  ],
  notes: """
    The bound of a scheme is the time of the full step by the ratio of the work. \
    Benchmarks/train.py measures the same two models in PyTorch. For --memory set \
    GLIBC_TUNABLES=glibc.malloc.mmap_threshold=65536, or one case uses what another has freed.
    """
) { arguments, console in
  let optimizers: [(String, Optimizer)] = [("SGD", .sgd()), ("AdamW", .adamW())]
  let only = arguments.value("scheme")
  let asked = arguments.value("frozen") ?? FrozenWeights.stored.rawValue
  guard let frozen = FrozenWeights(rawValue: asked) else {
    throw CommandFailure.usage("--frozen \(asked) is none of int8, bf16 and stored")
  }
  let schemes =
    try only.map { [try UpdateScheme($0)] }
    ?? ["full", "blocks:last=2+head", "bias", "bias:last=2", "lora:rank=8", "head"]
    .map { try UpdateScheme($0) }
  for model in try BenchModel.standard().map(\.trained) {
    for threads in try threadCounts(arguments) {
      var full: (seconds: Double, flops: Int)?
      for scheme in schemes {
        let forward = scheme.adapted(try model.graph(hasLoss: true))
        guard let selection = try? scheme.selection(forward) else { continue }
        for (name, optimizer) in optimizers where scheme.terms == [.full] || name == "SGD" {
          let training = try TrainingGraph(
            forward,
            isTrainable: selection.contains,
            columns: selection.fractions,
            ending: .update(optimizer)
          )
          // Operators are timed in runs that set no inputs.
          let plan = ExecutionPlan(
            training.graph,
            threads: threads,
            keepsInputs: arguments.isSet("operators")
          )
          let table = model.table(
            for: forward,
            isTrainable: selection.contains,
            frozen: frozen
          )
          let held = frozen == .stored ? "" : ", frozen \(frozen)"
          let title = "train \(model.name), \(scheme)\(held), \(name), \(threads) threads"
          let team = ThreadTeam(threads: threads)
          ResidentMemory.resetPeak()
          let before = ResidentMemory.now()
          let workspace = Workspace(table, team: team, perturbs: false)
          let bound = try BoundPlan(plan, in: workspace)
          func step() throws {
            try model.fill(bound)
            try bound.set(TrainingGraph.schedule, floats: optimizer.schedule(rate: 1e-6, step: 1))
            bound.run()
          }
          if arguments.isSet("memory") {
            for _ in 0..<2 { try step() }
            let weights = 4 * table.trainableCount
            let report = PlanReport(plan, threads: threads, weightBytes: weights)
            let planned = Double(report.totalBytes - report.stackBytes)
            ReportRow(
              title,
              Double(ResidentMemory.peak() - before) / 1_048_576,
              "MiB",
              floor: ("planned", planned / 1_048_576)
            ).write(to: console)
            continue
          }
          let measured = try Measurement.of(runs: 5) { try step() }
          let flops = training.graph.flops
          if let full, scheme.terms != [.full] {
            let floor = full.seconds * Double(flops) / Double(full.flops)
            ReportRow(title, measured.median * 1e3, "ms", floor: ("bound", floor * 1e3))
              .write(to: console)
          } else {
            ReportRow(title, measured.median * 1e3, "ms").write(to: console)
            full = full ?? (measured.median, flops)
          }
          ReportRow("  work", Double(flops) / measured.median * 1e-9, "GFLOP/s").write(to: console)
          ReportRow("  arena", Double(plan.arenaBytes) / 1_048_576, "MiB").write(to: console)
          guard arguments.isSet("operators") else { continue }
          try model.fill(bound)
          for (operation, seconds) in bound.profile(runs: 5) {
            ReportRow("  \(operation)", seconds * 1e3, "ms").write(to: console)
          }
        }
      }
    }
  }
  return .ok
}
