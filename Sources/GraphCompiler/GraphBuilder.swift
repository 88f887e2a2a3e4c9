// Apache-2.0.
public import Tensors

/// Builds a graph node by node; every step checks its shapes.
public struct GraphBuilder: Sendable {
  private var graph = Graph()
  private var parameterPositions: [String: Int] = [:]
  private var negations: [ValueID: ValueID] = [:]

  /// An empty graph.
  public init() {}

  /// Continues a graph, whose outputs are forgotten.
  public init(extending graph: Graph) {
    self.graph = graph
    self.graph.outputs = []
    for (position, parameter) in graph.parameters.enumerated() {
      parameterPositions[parameter.name] = position
    }
  }

  /// The graph built so far, with its outputs.
  public func finish(outputs: [(name: String, value: ValueID)]) -> Graph {
    var finished = graph
    finished.outputs = outputs
    return finished
  }

  /// The type of a value.
  public func type(of value: ValueID) -> ValueType { graph.type(of: value) }

  /// The shape of a parameter.
  public func shape(of parameter: ParameterID) -> Shape { graph.parameters[parameter.index].shape }

  /// The name of a parameter.
  public func name(of parameter: ParameterID) -> String { graph.parameters[parameter.index].name }

  /// A value set before each run.
  public mutating func input(_ name: String, _ type: ValueType) -> ValueID {
    let value = add(type)
    graph.inputs.append((name, value))
    return value
  }

  /// A value known now.
  public mutating func constant(_ data: [Float], _ shape: Shape) -> ValueID {
    precondition(data.count == shape.elementCount, "\(data.count) elements for \(shape)")
    let value = add(ValueType(shape))
    graph.constants.append((value, data))
    return value
  }

  /// A constant of the negated elements of another; nil where that is not a constant.
  mutating func negatedConstant(_ value: ValueID) -> ValueID? {
    if let known = negations[value] { return known }
    guard let data = graph.constants.first(where: { $0.value == value })?.data else { return nil }
    let made = constant(data.map { -$0 }, graph.type(of: value).shape)
    negations[value] = made
    return made
  }

  /// A value that lives on from run to run: zero at first, changed by operators that say so.
  public mutating func state(_ name: String, _ type: ValueType) -> ValueID {
    if let known = graph.states.first(where: { $0.name == name }) { return known.value }
    let value = add(type)
    graph.states.append((name, value))
    return value
  }

  /// A parameter by its name in the checkpoint; the same name is the same parameter.
  public mutating func parameter(_ name: String, _ shape: Shape) throws(GraphError) -> ParameterID {
    if let position = parameterPositions[name] {
      let known = graph.parameters[position].shape
      guard known == shape else {
        throw .parameterShape(name: name, first: "\(known)", second: "\(shape)")
      }
      return ParameterID(index: position)
    }
    parameterPositions[name] = graph.parameters.count
    graph.parameters.append(Parameter(name: name, shape: shape))
    return ParameterID(index: graph.parameters.count - 1)
  }

  /// Applies an operator.
  ///
  /// - Throws: `GraphError.mismatch` where the operands do not fit.
  public mutating func apply(
    _ operation: some Operator,
    _ inputs: [ValueID],
    _ parameters: [ParameterID] = []
  ) throws(GraphError) -> [ValueID] {
    let types = try operation.outputs(
      inputs.map { graph.type(of: $0) },
      parameters.map { graph.parameters[$0.index].shape }
    )
    let outputs = types.map { add($0) }
    graph.nodes.append(
      Node(operation: operation, inputs: inputs, parameters: parameters, outputs: outputs)
    )
    return outputs
  }

  private mutating func add(_ type: ValueType) -> ValueID {
    graph.values.append(type)
    return ValueID(index: graph.values.count - 1)
  }
}

extension GraphBuilder {
  /// y = activation(x · Wᵀ + b) + residual; x [M, K], W [N, K], b [N], residual and y [M, N].
  public mutating func linear(
    _ x: ValueID,
    _ weight: ParameterID,
    bias: ParameterID? = nil,
    activation: Activation = .identity,
    residual: ValueID? = nil
  ) throws(GraphError) -> ValueID {
    try apply(
      Linear(hasBias: bias != nil, activation: activation, hasResidual: residual != nil),
      [x] + (residual.map { [$0] } ?? []),
      [weight] + (bias.map { [$0] } ?? [])
    )[0]
  }

  /// y[i] = table[ids[i]]; ids any shape of n integers, y [n, width].
  public mutating func embedding(
    _ ids: ValueID,
    _ table: ParameterID
  ) throws(GraphError) -> ValueID {
    try apply(Embedding(), [ids], [table])[0]
  }

  /// The first `positions` rows of a table repeated `sequences` times; y [sequences·positions, width].
  public mutating func positions(
    _ table: ParameterID,
    sequences: Int,
    positions: Int
  ) throws(GraphError) -> ValueID {
    try apply(PositionEmbedding(sequences: sequences, positions: positions), [], [table])[0]
  }

  /// y = a + b, elementwise.
  public mutating func add(_ a: ValueID, _ b: ValueID) throws(GraphError) -> ValueID {
    try apply(Add(), [a, b])[0]
  }

  /// y = gain ⊙ x / √(mean(x²) + ε), by row.
  public mutating func rmsNorm(
    _ x: ValueID,
    gain: ParameterID,
    epsilon: Float
  ) throws(GraphError) -> ValueID {
    try apply(RMSNorm(epsilon: epsilon), [x], [gain])[0]
  }

  /// y = gain ⊙ (x − mean) / √(variance + ε) + bias, by row.
  public mutating func layerNorm(
    _ x: ValueID,
    gain: ParameterID,
    bias: ParameterID,
    epsilon: Float
  ) throws(GraphError) -> ValueID {
    try apply(LayerNorm(epsilon: epsilon), [x], [gain, bias])[0]
  }

  /// Rotary positions on x [sequences·positions, heads·dimension]; tables [positions, dimension/2].
  public mutating func rotary(
    _ x: ValueID,
    cosines: ValueID,
    sines: ValueID,
    headDimension: Int
  ) throws(GraphError) -> ValueID {
    try apply(Rotary(headDimension: headDimension), [x, cosines, sines])[0]
  }

  /// Scaled dot-product attention; q [B·T, heads·D], k and v [B·T, keyHeads·D], lengths [B].
  public mutating func attention(
    _ q: ValueID,
    _ k: ValueID,
    _ v: ValueID,
    lengths: ValueID,
    _ operation: Attention
  ) throws(GraphError) -> ValueID {
    try apply(operation, [q, k, v, lengths])[0]
  }

  /// y = silu(gate) ⊙ up.
  public mutating func siluMultiply(
    _ gate: ValueID,
    _ up: ValueID
  ) throws(GraphError) -> ValueID {
    try apply(SiLUMultiply(), [gate, up])[0]
  }

  /// Equal parts of x [M, N], side by side: each [M, N/parts].
  public mutating func split(_ x: ValueID, into parts: Int) throws(GraphError) -> [ValueID] {
    try apply(SplitColumns(parts: parts), [x])
  }

  /// One row of each sequence: its first, or the last before its padding.
  ///
  /// x [B·T, N], y [B, N].
  public mutating func row(
    _ which: SequenceRow.Which,
    of x: ValueID,
    lengths: ValueID
  ) throws(GraphError) -> ValueID {
    try apply(SequenceRow(which), [x, lengths])[0]
  }

  /// Cross-entropy of x · Wᵀ + b against labels without a buffer of all logits.
  ///
  /// - Returns: losses [M], 0 where the label is negative; predictions [M] of integers.
  public mutating func crossEntropy(
    _ x: ValueID,
    _ weight: ParameterID,
    bias: ParameterID? = nil,
    labels: ValueID
  ) throws(GraphError) -> (losses: ValueID, predictions: ValueID) {
    let made = try apply(
      CrossEntropy(hasBias: bias != nil),
      [x, labels],
      [weight] + (bias.map { [$0] } ?? [])
    )
    return (made[0], made[1])
  }
}
