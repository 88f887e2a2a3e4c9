// Apache-2.0.
import CKernels
import CommandLineTool
import Execution
import GraphCompiler
import Tensors

/// Linear layers as the engine runs them, against the peak of the fused multiply-add units.
let gemmBenchmark = Command(
  "gemm",
  "Linear layers from 1 to 2048 rows, against the peak of the machine's multiply-adds.",
  options: [threadsOption, .value("shape", "M,N,K", "Only this shape.")],
  notes: "Weights are row-major as in checkpoints and packed on the fly, as for a moving weight."
) { arguments, console in
  var shapes = [512, 1024, 2048].map { ($0, $0, $0) }
  for rows in [1, 8, 32] { shapes += [1024, 2048, 4096].map { (rows, $0, $0) } }
  if let shape = arguments.value("shape") {
    let parts = shape.split(separator: ",").compactMap { Int($0) }
    guard parts.count == 3, parts.allSatisfy({ $0 > 0 }) else {
      throw CommandFailure.usage("--shape \(shape): expected M,N,K")
    }
    shapes = [(parts[0], parts[1], parts[2])]
  }
  for threads in try threadCounts(arguments) {
    let team = ThreadTeam(threads: threads)
    let peak = multiplyAddPeak(team)
    ReportRow("multiply-add peak, \(threads) threads", peak * 1e-9, "GFLOP/s").write(to: console)
    for (m, n, k) in shapes {
      let seconds = try linearSeconds(m, n, k, team)
      let flops = 2 * Double(m) * Double(n) * Double(k)
      ReportRow(
        "linear \(m)x\(n)x\(k), \(threads) threads",
        flops / seconds * 1e-9,
        "GFLOP/s",
        floor: ("peak", peak * 1e-9)
      ).write(to: console)
    }
  }
  return .ok
}

/// Median seconds of one linear layer x [M, K], W [N, K], through the executor.
func linearSeconds(_ m: Int, _ n: Int, _ k: Int, _ team: ThreadTeam) throws -> Double {
  var builder = GraphBuilder()
  let x = builder.input("x", ValueType([m, k]))
  let y = try builder.linear(x, builder.parameter("w", [n, k]))
  let graph = builder.finish(outputs: [("y", y)])
  let weights = (0..<n * k).map { Float($0 % 1013) * 1e-3 - 0.5 }
  let table = WeightTable(["w": StoredTensor(shape: [n, k], floats: weights)]) { _ in false }
  let workspace = Workspace(table, team: team)
  let plan = try BoundPlan(ExecutionPlan(graph, threads: team.threadCount), in: workspace)
  try plan.set("x", floats: (0..<m * k).map { Float($0 % 1009) * 1e-3 - 0.5 })
  return Measurement.of { plan.run() }.median
}

/// Multiply-adds a second that the team's threads reach on registers alone.
func multiplyAddPeak(_ team: ThreadTeam) -> Double {
  let steps: Int64 = 2_000_000
  let kernels = unsafe KernelTable.current.kernels.pointee
  let perStep = kernels.multiply_add_flops()
  let measured = Measurement.of(runs: 5) {
    team.run(tasks: team.threadCount) { _, _ in
      _ = kernels.multiply_add_peak(steps)
    }
  }
  return Double(steps) * Double(perStep) * Double(team.threadCount) / measured.median
}
