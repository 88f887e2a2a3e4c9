// Apache-2.0.

extension Graph {
  /// The same graph without the nodes that make nothing anybody reads, and without their values.
  func withoutDeadNodes() -> Graph {
    var read = Set(outputs.map(\.value))
    var alive: [Node] = []
    for node in nodes.reversed()
    where node.operation.hasEffect || node.outputs.contains(where: read.contains) {
      read.formUnion(node.inputs)
      alive.append(node)
    }
    return part(alive.reversed(), inputs: inputs, outputs: outputs)
  }
}
