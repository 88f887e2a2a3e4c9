// Apache-2.0.
import GraphCompiler

extension BoundPlan {
  /// Seconds each kind of operator takes in one run, the longest first: the least of `runs` runs for
  /// each node, summed by kind.
  public func profile(runs: Int) -> [(operation: String, seconds: Double)] {
    let clock = ContinuousClock()
    var least = [Double](repeating: .infinity, count: plan.graph.nodes.count)
    for _ in 0..<max(1, runs) {
      runEach { index, body in
        let elapsed = clock.measure(body).components
        let seconds = Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18
        least[index] = min(least[index], seconds)
      }
    }
    var totals: [String: Double] = [:]
    for (node, seconds) in zip(plan.graph.nodes, least) {
      totals[plan.label(node), default: 0] += seconds
    }
    return totals.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
  }
}

extension ExecutionPlan {
  /// The operator of a node, with the shape of the matrix it reads if there is one.
  fileprivate func label(_ node: Node) -> String {
    let name = type(of: node.operation).name
    guard let first = node.parameters.first else { return name }
    return "\(name) \(graph.parameters[first.index].shape)"
  }
}
