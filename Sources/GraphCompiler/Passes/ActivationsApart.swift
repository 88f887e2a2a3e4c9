// Apache-2.0.

extension Graph {
  /// The same graph with the activation of every linear layer in `nodes` as a node of its own, whose
  /// input a gradient can read; not where the result tells the derivative.
  func activationsApart(where isWanted: (Node) -> Bool) -> Graph {
    var made = self
    made.nodes = []
    for node in nodes {
      guard let linear = node.operation as? Linear, linear.activation != .identity, isWanted(node),
        linear.hasResidual || !linear.activation.isKnownByResult
      else {
        made.nodes.append(node)
        continue
      }
      let output = node.outputs[0]
      var product = linear
      product.activation = .identity
      product.hasResidual = false
      let before = made.addValue(type(of: output))
      let after = linear.hasResidual ? made.addValue(type(of: output)) : output
      made.nodes.append(
        Node(
          operation: product,
          inputs: [node.inputs[0]],
          parameters: node.parameters,
          outputs: [before]
        )
      )
      made.nodes.append(
        Node(
          operation: Activate(activation: linear.activation),
          inputs: [before],
          parameters: [],
          outputs: [after]
        )
      )
      if linear.hasResidual {
        made.nodes.append(
          Node(
            operation: Add(),
            inputs: [after, node.inputs[1]],
            parameters: [],
            outputs: [output]
          )
        )
      }
    }
    return made
  }

  /// Values that change when a parameter does of which `isTrainable` says so.
  func moving(_ isTrainable: (String) -> Bool) -> Set<ValueID> {
    let trainable = Set(parameters.indices.filter { isTrainable(parameters[$0].name) })
    var moving: Set<ValueID> = []
    for node in nodes
    where node.inputs.contains(where: moving.contains)
      || node.parameters.contains(where: { trainable.contains($0.index) })
    {
      moving.formUnion(node.outputs.filter { type(of: $0).scalar == .float })
    }
    return moving
  }
}
