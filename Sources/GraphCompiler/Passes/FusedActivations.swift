// Apache-2.0.

extension Graph {
  /// The same graph with the derivative of an activation taken where the gradient of its result is
  /// made, where nobody else reads that.
  func withFusedActivations() -> Graph {
    let (readers, producers) = (readers(), producers())
    var made = self
    var fused: Set<Int> = []
    for (position, node) in nodes.enumerated() {
      guard let slope = node.operation as? ActivationGradient,
        readers[node.inputs[1].index] == [position],
        let source = producers[node.inputs[1].index],
        let operation = nodes[source].operation.reading(slope.activation)
      else { continue }
      made.nodes[source] = Node(
        operation: operation,
        inputs: [nodes[source].inputs[0], node.inputs[0]],
        parameters: nodes[source].parameters,
        outputs: node.outputs
      )
      fused.insert(position)
    }
    made.nodes = made.nodes.enumerated().filter { !fused.contains($0.offset) }.map(\.element)
    return made
  }
}

extension Operator {
  /// The product that makes the gradient of an activation's result, with its derivative; nil where it
  /// cannot take that.
  fileprivate func reading(_ activation: Activation) -> (any Operator)? {
    if var product = self as? LinearInputGradient, !product.hasSum, product.activation == .identity
    {
      product.activation = activation
      return product
    }
    if var product = self as? DepthwiseInputGradient, !product.hasSum,
      product.activation == .identity
    {
      product.activation = activation
      return product
    }
    return nil
  }
}
