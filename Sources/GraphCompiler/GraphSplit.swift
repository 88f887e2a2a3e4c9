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

  /// `graph` as it is, with nothing before it.
  public init(uncut graph: Graph) {
    prefix = graph.part([], inputs: graph.inputs, outputs: [])
    suffix = graph
    boundary = []
  }

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
    let given = Set(
      graph.inputs.map(\.value) + graph.constants.map(\.value) + graph.states.map(\.value)
    )
    var crossing = Set(graph.outputs.map(\.value).filter { !moves[$0.index] })
    for (node, before) in zip(graph.nodes, inPrefix) where !before {
      crossing.formUnion(node.inputs.filter { !moves[$0.index] })
    }
    let ordered = crossing.subtracting(given).sorted { $0.index < $1.index }
    let named = ordered.map { (name: "boundary.\($0.index)", value: $0) }
    boundary = named.map(\.name)
    prefix = graph.part(
      zip(graph.nodes, inPrefix).filter(\.1).map(\.0),
      inputs: graph.inputs,
      outputs: named
    )
    suffix = graph.part(
      zip(graph.nodes, inPrefix).filter { !$0.1 }.map(\.0),
      inputs: graph.inputs + named,
      outputs: graph.outputs
    )
  }
}
