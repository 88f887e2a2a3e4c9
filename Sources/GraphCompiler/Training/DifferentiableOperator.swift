// Apache-2.0.
import Tensors

/// An operator that gradients can pass through.
public protocol DifferentiableOperator: Operator {
  /// Appends the nodes that turn the gradients of the outputs into those of whatever is wanted.
  ///
  /// Nodes that read a parameter come before those that make its gradient, so that it may change as
  /// soon as its gradient is there.
  ///
  /// - Throws: `GraphError.mismatch` where the rule contradicts the shapes, which is a bug.
  func gradient(_ backward: inout BackwardBuilder) throws(GraphError)
}

/// Builds the backward half of a graph, node by node from the last to the first.
///
/// Gradients of a value that several nodes read, or of a parameter used twice, are summed.
public struct BackwardBuilder {
  /// The graph, forward half included.
  public private(set) var builder: GraphBuilder
  /// The node whose rule is at work.
  public internal(set) var node: Node
  private var gradients: [ValueID: ValueID] = [:]
  private var parameterGradients: [ParameterID: ValueID] = [:]
  /// Values that the rules made anew, by the ones they stand for.
  private(set) var replacements: [ValueID: ValueID] = [:]
  private let moving: Set<ValueID>
  private let trainable: Set<ParameterID>
  private let columns: [ParameterID: Int]

  init(
    _ graph: Graph,
    moving: Set<ValueID>,
    trainable: Set<ParameterID>,
    columns: [ParameterID: Int],
    seeds: (inout GraphBuilder) -> [ValueID: ValueID]
  ) {
    builder = GraphBuilder(extending: graph)
    gradients = seeds(&builder)
    self.moving = moving
    self.trainable = trainable
    self.columns = columns
    node = graph.nodes[0]
  }

  // MARK: What is known and what is wanted

  /// Whether the gradient of an input of the node is needed by anybody.
  public func wants(input position: Int) -> Bool { moving.contains(node.inputs[position]) }

  /// Whether a parameter of the node trains.
  public func wants(parameter position: Int) -> Bool {
    position < node.parameters.count && trainable.contains(node.parameters[position])
  }

  /// How many of the first input channels of a matrix train, where not all of them do.
  public func columns(parameter position: Int) -> Int? { columns[node.parameters[position]] }

  /// The gradient of an output; nil where nothing that counts reads it.
  public func outputGradient(_ position: Int = 0) -> ValueID? { gradients[node.outputs[position]] }

  /// The type of a value.
  public func type(of value: ValueID) -> ValueType { builder.type(of: value) }

  // MARK: What a rule leaves

  /// Applies an operator.
  public mutating func apply(
    _ operation: some Operator,
    _ inputs: [ValueID],
    _ parameters: [ParameterID] = []
  ) throws(GraphError) -> [ValueID] {
    try builder.apply(operation, inputs, parameters)
  }

  /// A value known now.
  public mutating func constant(negated value: ValueID) throws(GraphError) -> ValueID {
    guard let made = builder.negatedConstant(value) else {
      throw .mismatch(
        operation: Swift.type(of: node.operation).name,
        expected: "tables known at once"
      )
    }
    return made
  }

  /// Lets a value that a rule made stand for an output of the node in the outputs of the graph.
  public mutating func replace(output position: Int, by value: ValueID) {
    replacements[node.outputs[position]] = value
  }

  /// Adds to the gradient of an input, if it is wanted.
  ///
  /// - Parameter make: makes the sum with what is there already, which is of the input's type.
  public mutating func add(
    input position: Int,
    _ make: (inout Self, _ sum: ValueID?) throws(GraphError) -> ValueID
  ) throws(GraphError) {
    guard wants(input: position) else { return }
    let value = node.inputs[position]
    gradients[value] = try make(&self, gradients[value])
  }

  /// Adds a value to the gradient of an input, if it is wanted.
  public mutating func add(input position: Int, _ gradient: ValueID) throws(GraphError) {
    try add(input: position) { (backward, sum) throws(GraphError) in
      try backward.summed(gradient, sum)
    }
  }

  /// Adds to the gradient of a parameter, if it trains.
  ///
  /// - Parameter make: makes the sum with what is there already, which is of the parameter's shape, or
  ///   of its first columns.
  public mutating func add(
    parameter position: Int,
    _ make: (inout Self, _ sum: ValueID?) throws(GraphError) -> ValueID
  ) throws(GraphError) {
    guard wants(parameter: position) else { return }
    let parameter = node.parameters[position]
    let made = try make(&self, parameterGradients[parameter])
    if let columns = columns[parameter], builder.type(of: made).shape.columns != columns {
      let name = builder.name(of: parameter)
      throw .mismatch(
        operation: Swift.type(of: node.operation).name,
        expected: "all input channels of \(name) to train; a part of them only in linear layers"
      )
    }
    parameterGradients[parameter] = made
  }

  /// Adds a value to the gradient of a parameter, if it trains.
  public mutating func add(parameter position: Int, _ gradient: ValueID) throws(GraphError) {
    try add(parameter: position) { (backward, sum) throws(GraphError) in
      try backward.summed(gradient, sum)
    }
  }

  private mutating func summed(
    _ gradient: ValueID,
    _ sum: ValueID?
  ) throws(GraphError) -> ValueID {
    guard let sum else { return gradient }
    return try builder.add(sum, gradient)
  }

  /// The graph, and the gradients of the parameters that have one.
  func finish() -> (GraphBuilder, [ParameterID: ValueID]) { (builder, parameterGradients) }
}
