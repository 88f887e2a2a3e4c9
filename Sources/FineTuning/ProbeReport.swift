// Apache-2.0.
import Execution
public import GraphCompiler
import Models

extension LoadedModel {
  /// Plans the two losses of a zeroth-order step without running them.
  ///
  /// Weights count as what trains in binary32 with a bit of direction each.
  ///
  /// - Parameters:
  ///   - rows: sequences of a batch.
  ///   - positions: of a sequence, at most the model's.
  public func probeReport(
    rows: Int,
    positions: Int,
    threads: Int
  ) throws(FineTuningError) -> PlanReport {
    guard positions <= family.maximumPositions else {
      throw .data("\(positions) positions; the model has \(family.maximumPositions)")
    }
    let request = GraphRequest(sequences: rows, positions: positions, head: head, hasLoss: true)
    let graph = try FineTuningError.inModel(self.request.directory) { try self.graph(request) }
    return PlanReport(
      ExecutionPlan(graph, threads: threads),
      threads: threads,
      weightBytes: 4 * table.trainableCount + table.trainableCount / 8 + table.frozenBytes,
      forwardFlops: graph.flops
    )
  }
}
