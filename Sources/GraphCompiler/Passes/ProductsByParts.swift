// Apache-2.0.

extension Graph {
  /// The same graph with the products of some linear layers taken by parts where the processor has a
  /// tile unit: as near to the exact ones, in other bits.
  ///
  /// A row has the same bits in every batch, on any number of threads.
  func withProductsByParts(where isWanted: (Node) -> Bool = { _ in true }) -> Graph {
    var made = self
    made.nodes = nodes.map { node in
      guard var linear = node.operation as? Linear, isWanted(node) else { return node }
      linear.byParts = true
      return Node(
        operation: linear,
        inputs: node.inputs,
        parameters: node.parameters,
        outputs: node.outputs
      )
    }
    return made
  }

  /// The same graph with the products before the first parameter that can change taken by parts, as a
  /// training step takes them, so that what is kept of a frozen prefix serves training and evaluation.
  public func withFrozenProductsByParts(isTrainable: (String) -> Bool) -> Graph {
    let moving = moving(isTrainable)
    return withProductsByParts { !$0.outputs.contains(where: moving.contains) }
  }
}
