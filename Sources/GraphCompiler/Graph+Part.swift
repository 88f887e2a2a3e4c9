// Apache-2.0.

extension Graph {
  /// The part of a graph made of some of its nodes, values renumbered and unused ones left out.
  func part(
    _ nodes: [Node],
    inputs: [(name: String, value: ValueID)],
    outputs: [(name: String, value: ValueID)]
  ) -> Graph {
    var part = Graph()
    var values: [ValueID: ValueID] = [:]
    var weights: [ParameterID: ParameterID] = [:]
    let read = Set(nodes.flatMap(\.inputs) + outputs.map(\.value))
    func renumbered(_ value: ValueID) -> ValueID {
      if let known = values[value] { return known }
      part.values.append(type(of: value))
      let id = ValueID(index: part.values.count - 1)
      values[value] = id
      return id
    }
    for (name, value) in inputs where read.contains(value) {
      part.inputs.append((name, renumbered(value)))
    }
    for (value, data) in constants where read.contains(value) {
      part.constants.append((renumbered(value), data))
    }
    for (name, value) in states where read.contains(value) {
      part.states.append((name, renumbered(value)))
    }
    for node in nodes {
      let read = node.parameters.map { id -> ParameterID in
        if let known = weights[id] { return known }
        part.parameters.append(self.parameters[id.index])
        let made = ParameterID(index: part.parameters.count - 1)
        weights[id] = made
        return made
      }
      part.nodes.append(
        Node(
          operation: node.operation,
          inputs: node.inputs.map(renumbered),
          parameters: read,
          outputs: node.outputs.map(renumbered)
        )
      )
    }
    part.outputs = outputs.map { ($0.name, renumbered($0.value)) }
    return part
  }
}
