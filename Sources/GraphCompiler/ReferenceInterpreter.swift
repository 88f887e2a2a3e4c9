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
      let made = node.operation.reference(node.inputs.compactMap { values[$0.index] }, weights)
      for (value, tensor) in zip(node.outputs, made) { values[value.index] = tensor }
    }
    var outputs: [String: [Double]] = [:]
    for (name, value) in graph.outputs { outputs[name] = values[value.index]?.data }
    return outputs
  }
}
