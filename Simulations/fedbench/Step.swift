// Apache-2.0.
import CommandLineTool
import Execution
import GraphCompiler
import SharedRandomness
import Tensors

/// What a zeroth-order step on all weights takes, against the two forward passes in it.
let stepBenchmark = Command(
  "step",
  "A zeroth-order step on all weights, against two forward passes.",
  options: [threadsOption],
  notes: """
    A step makes a fresh direction, computes the loss at w + εz and at w − εz, and moves the \
    weights. The floor is twice the loss at w.
    """
) { arguments, console in
  for model in try BenchModel.standard().map(\.trained) {
    let graph = try model.graph(hasLoss: true)
    let table = model.table(for: graph, isTrainable: true)
    for threads in try threadCounts(arguments) {
      let workspace = Workspace(table, team: ThreadTeam(threads: threads))
      let bound = try BoundPlan(ExecutionPlan(graph, threads: threads), in: workspace)
      try model.fill(bound)
      let banks: [(String, DirectionFamily)] = [
        ("independent", .independent), ("hadamard", .hadamard(log2Count: 10)),
      ]
      for (name, family) in banks {
        let bank = DirectionBank(family: family, key: 7, epoch: 0)
        var step: UInt32 = 0
        var ratios: [Double] = []
        var seconds: [Double] = []
        // In turns, so that whatever else the machine does meets both.
        for _ in 0..<7 {
          let floor = Measurement.of(runs: 1) {
            bound.run()
            bound.run()
          }
          let measured = Measurement.of(runs: 1) {
            step = (step + 1) % 1024
            workspace.setDirection(Direction(bank: bank, index: step))
            bound.run(epsilon: 1e-3)
            bound.run(epsilon: -1e-3)
            workspace.move(by: 1e-6)
          }
          seconds.append(measured.median)
          ratios.append(measured.median / floor.median)
        }
        seconds.sort()
        ratios.sort()
        ReportRow(
          "step \(model.name), \(name), \(threads) threads",
          seconds[3] * 1e3,
          "ms",
          floor: ("two forwards", seconds[3] * 1e3 / ratios[3])
        ).write(to: console)
      }
    }
  }
  return .ok
}
