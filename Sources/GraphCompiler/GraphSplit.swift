// Apache-2.0.

/// A graph cut where the first parameter that can change is read.
///
/// What the prefix computes for an example never changes during a run, so it is computed once; every
/// later visit of the example costs the suffix alone.
public struct GraphSplit: Sendable {
  /// The part that reads frozen parameters only; its outputs are the boundary.
  ///
  /// Empty of nodes where the first node already reads one that can change.
  public let prefix: Graph
  /// The rest; the boundary values are its inputs beside the inputs of the whole.
  public let suffix: Graph
  /// Names of the boundary values: outputs of the prefix, inputs of the suffix.
  public let boundary: [String]

  /// Cuts `graph`; `isTrainable` says which parameters can change, by name.
  public init(_ graph: Graph, isTrainable: (String) -> Bool) {
    var moves = [Bool](repeating: false, count: graph.values.count)
    var inPrefix: [Bool] = []
    for node in graph.nodes {
      let reads =
        node.parameters.contains { isTrainable(graph.parameters[$0.index].name) }
        || node.inputs.contains { moves[$0.index] }
      for value in node.outputs { moves[value.index] = reads }
      inPrefix.append(!reads)
    }
    let given = Set(graph.inputs.map(\.value) + graph.constants.map(\.value))
    var crossing = Set(graph.outputs.map(\.value).filter { !moves[$0.index] })
    for (node, before) in zip(graph.nodes, inPrefix) where !before {
      crossing.formUnion(node.inputs.filter { !moves[$0.index] })
    }
    let ordered = crossing.subtracting(given).sorted { $0.index < $1.index }
    let named = ordered.map { (name: "boundary.\($0.index)", value: $0) }
    boundary = named.map(\.name)
    prefix = Self.part(
      graph,
      zip(graph.nodes, inPrefix).filter(\.1).map(\.0),
      inputs: graph.inputs,
      outputs: named
    )
    suffix = Self.part(
      graph,
      zip(graph.nodes, inPrefix).filter { !$0.1 }.map(\.0),
      inputs: graph.inputs + named,
      outputs: graph.outputs
    )
  }

  /// The part of a graph made of some of its nodes, values renumbered and unused ones left out.
  private static func part(
    _ graph: Graph,
    _ nodes: [Node],
    inputs: [(name: String, value: ValueID)],
    outputs: [(name: String, value: ValueID)]
  ) -> Graph {
    var part = Graph()
    var values: [ValueID: ValueID] = [:]
    var parameters: [ParameterID: ParameterID] = [:]
    let read = Set(nodes.flatMap(\.inputs) + outputs.map(\.value))
    func renumbered(_ value: ValueID) -> ValueID {
      if let known = values[value] { return known }
      part.values.append(graph.type(of: value))
      let id = ValueID(index: part.values.count - 1)
      values[value] = id
      return id
    }
    for (name, value) in inputs where read.contains(value) {
      part.inputs.append((name, renumbered(value)))
    }
    for (value, data) in graph.constants where read.contains(value) {
      part.constants.append((renumbered(value), data))
    }
    for node in nodes {
      let weights = node.parameters.map { id -> ParameterID in
        if let known = parameters[id] { return known }
        part.parameters.append(graph.parameters[id.index])
        let made = ParameterID(index: part.parameters.count - 1)
        parameters[id] = made
        return made
      }
      part.nodes.append(
        Node(
          operation: node.operation,
          inputs: node.inputs.map(renumbered),
          parameters: weights,
          outputs: node.outputs.map(renumbered)
        )
      )
    }
    part.outputs = outputs.map { ($0.name, renumbered($0.value)) }
    return part
  }
}
