// Apache-2.0.

/// Runs a graph in binary64 by the definitions of its operators: slow, and the oracle of the rest.
public struct ReferenceInterpreter {
  private let graph: Graph

  /// An interpreter of `graph`.
  public init(_ graph: Graph) { self.graph = graph }

  /// The outputs by name.
  ///
  /// - Parameters:
  ///   - inputs: elements of every input by name, row-major.
  ///   - parameters: elements of every parameter by name, row-major.
  /// - Throws: `GraphError.unknownValue` where one is missing.
  public func run(
    inputs: [String: [Double]],
    parameters: [String: [Double]]
  ) throws(GraphError) -> [String: [Double]] {
    var (changed, states) = (parameters, [String: [Double]]())
    return try run(inputs: inputs, parameters: &changed, states: &states)
  }

  /// The outputs by name, with parameters and states as they are afterwards.
  ///
  /// - Parameter states: elements of states by name; those missing are zeros.
  public func run(
    inputs: [String: [Double]],
    parameters: inout [String: [Double]],
    states: inout [String: [Double]]
  ) throws(GraphError) -> [String: [Double]] {
    var values = [ReferenceTensor?](repeating: nil, count: graph.values.count)
    func known(_ name: String, _ data: [Double]?) throws(GraphError) -> [Double] {
      guard let data else { throw .unknownValue(name: name) }
      return data
    }
    for (name, value) in graph.inputs {
      let shape = graph.type(of: value).shape
      values[value.index] = ReferenceTensor(shape, try known(name, inputs[name]))
    }
    for (value, data) in graph.constants {
      let shape = graph.type(of: value).shape
      values[value.index] = ReferenceTensor(shape, data.map(Double.init))
    }
    for (name, value) in graph.states {
      let shape = graph.type(of: value).shape
      values[value.index] =
        states[name].map { ReferenceTensor(shape, $0) }
        ?? ReferenceTensor(zeros: shape)
    }
    for node in graph.nodes {
      var weights: [ReferenceTensor] = []
      for id in node.parameters {
        let parameter = graph.parameters[id.index]
        weights.append(
          ReferenceTensor(
            parameter.shape,
            try known(parameter.name, parameters[parameter.name])
          )
        )
      }
      var operands = node.inputs.compactMap { values[$0.index] }
      let made = node.operation.reference(operands, weights)
      for (value, tensor) in zip(node.outputs, made) { values[value.index] = tensor }
      guard node.operation.hasEffect else { continue }
      node.operation.referenceEffect(&operands, &weights)
      for (value, tensor) in zip(node.inputs, operands) { values[value.index] = tensor }
      for (id, tensor) in zip(node.parameters, weights) {
        parameters[graph.parameters[id.index].name] = tensor.data
      }
    }
    for (name, value) in graph.states { states[name] = values[value.index]?.data }
    var outputs: [String: [Double]] = [:]
    for (name, value) in graph.outputs { outputs[name] = values[value.index]?.data }
    return outputs
  }
}
