// Apache-2.0.

extension Graph {
  /// The same graph with every node that changes parameters or states as early as it may be: after
  /// what it reads is made, and after whoever reads what it changes.
  ///
  /// So a gradient lives only from the node that makes it to the next.
  func withEarlyUpdates() -> Graph {
    var made: [Int: Int] = [:]
    var parameterReaders: [Int: Int] = [:]
    var valueReaders: [Int: Int] = [:]
    let kept = nodes.filter { !$0.operation.hasEffect }
    for (position, node) in kept.enumerated() {
      for value in node.outputs { made[value.index] = position }
      for value in node.inputs { valueReaders[value.index] = position }
      for parameter in node.parameters { parameterReaders[parameter.index] = position }
    }
    let states = Set(states.map(\.value))
    var following = [[Node]](repeating: [], count: kept.count + 1)
    // Effects on the same state keep their order.
    var effects: [Int: Int] = [:]
    for node in nodes where node.operation.hasEffect {
      var position = 0
      for value in node.inputs {
        position = max(position, made[value.index].map { $0 + 1 } ?? 0)
        if states.contains(value) {
          position = max(position, valueReaders[value.index].map { $0 + 1 } ?? 0)
          position = max(position, effects[value.index] ?? 0)
        }
      }
      for parameter in node.parameters {
        position = max(position, parameterReaders[parameter.index].map { $0 + 1 } ?? 0)
      }
      for value in node.inputs where states.contains(value) { effects[value.index] = position }
      // Others that change something may read what it makes.
      for value in node.outputs { made[value.index] = position - 1 }
      following[position].append(node)
    }
    var ordered = self
    ordered.nodes = following[0]
    for (position, node) in kept.enumerated() {
      ordered.nodes.append(node)
      ordered.nodes += following[position + 1]
    }
    return ordered
  }
}
