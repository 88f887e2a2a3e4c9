// Apache-2.0.
import CommandLineTool
import Execution
import GraphCompiler
import Tensors

/// What one forward pass takes, against the multiply-adds the cores can do.
let forwardBenchmark = Command(
  "forward",
  "Forward passes of two models, against the measured peak of multiply-adds.",
  options: [
    .flag("plan", "Print the plan of each model first."),
    .flag("operators", "Print the time of each kind of operator."),
    threadsOption,
  ],
  notes: "Benchmarks/forward.py measures the same two models in PyTorch."
) { arguments, console in
  for model in try BenchModel.standard() {
    let graph = try model.graph(hasLoss: false)
    let table = model.table(for: graph, isTrainable: false)
    for threads in try threadCounts(arguments) {
      let team = ThreadTeam(threads: threads)
      let plan = ExecutionPlan(graph, threads: threads)
      if arguments.isSet("plan") { console.write("\(plan)") }
      let bound = try BoundPlan(plan, in: Workspace(table, team: team))
      try model.fill(bound)
      let peak = multiplyAddPeak(team)
      let measured = Measurement.of(runs: 9) { bound.run() }
      let name = "forward \(model.name), \(threads) threads"
      ReportRow(name, measured.median * 1e3, "ms").write(to: console)
      ReportRow(
        "  multiply-adds",
        Double(graph.flops) / measured.median * 1e-9,
        "GFLOP/s",
        floor: ("peak", peak * 1e-9)
      ).write(to: console)
      guard arguments.isSet("operators") else { continue }
      for (operation, seconds) in bound.profile(runs: 9) {
        ReportRow("  \(operation)", seconds * 1e3, "ms").write(to: console)
      }
    }
  }
  return .ok
}
