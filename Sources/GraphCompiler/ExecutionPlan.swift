// Apache-2.0.

/// A graph with every byte it needs decided: what an executor runs without allocating.
public struct ExecutionPlan: Sendable {
  /// The computation.
  public let graph: Graph
  /// Where each value lies, by its index.
  public let places: [Place]
  /// Bytes of the arena.
  public let arenaBytes: Int
  /// Bytes no plan of this order of nodes can do with less than.
  public let lowerBound: Int
  /// Bytes of the constants, which no other plan may overwrite.
  public let constantBytes: Int
  /// Bytes of the states.
  public let stateBytes: Int
  /// Bytes of frozen matrices that are packed once.
  public let panelBytes: Int
  /// Scratch a thread needs, in bytes, a multiple of 64.
  public let scratchBytes: Int
  /// Whether inputs are still there after a run.
  public let keepsInputs: Bool

  /// Memory of a value: an offset in bytes, a multiple of 64.
  public enum Place: Sendable, Hashable {
    /// In the arena, which plans share.
    case arena(Int)
    /// Among the constants of the plan.
    case constant(Int)
    /// The state of this position in `Graph.states`, shared by all plans that name it.
    case state(Int)
  }

  /// Plans `graph` for a team of `threads`.
  ///
  /// - Parameter keepsInputs: whether inputs are still there after a run; else whoever runs the plan
  ///   sets them before each run, and their memory serves others once they are read.
  public init(_ graph: Graph, threads: Int, keepsInputs: Bool = true) {
    self.graph = graph
    self.keepsInputs = keepsInputs
    let lifetimes = Lifetimes(graph, keepsInputs: keepsInputs)
    let plan = MemoryPlan(lifetimes.intervals)
    var constants: [ValueID: Int] = [:]
    var end = 0
    for (value, _) in graph.constants {
      constants[value] = end
      end += (graph.type(of: value).byteCount + 63) & ~63
    }
    constantBytes = end
    let states = Dictionary(
      uniqueKeysWithValues: graph.states.enumerated().map { ($1.value, $0) }
    )
    places = graph.values.indices.map { index in
      if let offset = constants[ValueID(index: index)] { return .constant(offset) }
      if let state = states[ValueID(index: index)] { return .state(state) }
      return .arena(plan.offsets[lifetimes.intervalOfValue[index]])
    }
    arenaBytes = plan.arenaBytes
    stateBytes = graph.states.reduce(0) { $0 + graph.type(of: $1.value).byteCount }
    lowerBound = plan.lowerBound
    panelBytes = graph.packedWeights.reduce(0) { total, packed in
      total + packed.layout.byteCount(of: graph.parameters[packed.parameter.index].shape)
    }
    let scratch = graph.nodes.map { node in
      node.operation.scratchBytes(
        node.inputs.map(graph.type(of:)),
        node.parameters.map { graph.parameters[$0.index].shape },
        threads: threads
      )
    }
    scratchBytes = ((scratch.max() ?? 0) + 127) & ~63
  }
}

extension ExecutionPlan.Place: CustomStringConvertible {
  /// `128`, or `c128` for a constant, `s3` for the state at 3.
  public var description: String {
    switch self {
    case .arena(let offset): "\(offset)"
    case .constant(let offset): "c\(offset)"
    case .state(let position): "s\(position)"
    }
  }
}

extension ExecutionPlan: CustomStringConvertible {
  /// One line a node: operator, types, offsets, parameters, flops; then the totals.
  public var description: String {
    var lines: [String] = []
    for (step, node) in graph.nodes.enumerated() {
      let name = type(of: node.operation).name
      let reads = node.inputs.map { "v\($0.index)@\(places[$0.index])" }
      let weights = node.parameters.map { graph.parameters[$0.index].name }
      let writes = node.outputs.map { "v\($0.index)@\(places[$0.index]) \(graph.type(of: $0))" }
      lines.append(
        "\(step) \(name)(\((reads + weights).joined(separator: ", "))) -> "
          + writes.joined(separator: ", ")
      )
    }
    lines.append(
      "arena \(arenaBytes) bytes (lower bound \(lowerBound)), scratch \(scratchBytes) bytes a "
        + "thread, \(graph.flops) flops"
    )
    return lines.joined(separator: "\n")
  }
}
