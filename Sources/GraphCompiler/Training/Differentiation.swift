// Apache-2.0.
import Tensors

/// A graph with its backward half (reverse mode, at compile time).
///
/// Only what a trainable parameter needs is there: no gradient is computed that nobody reads, and
/// nothing is kept of the forward half that no gradient reads.
struct Differentiation {
  /// Forward, then backward nodes.
  let builder: GraphBuilder
  /// Nodes of the forward half.
  let forwardCount: Int
  /// The gradient of each trainable parameter that the loss depends on, of the parameter's shape.
  let gradients: [ParameterID: ValueID]

  /// Outputs of the graph, where rules made them anew the new ones.
  let outputs: [(name: String, value: ValueID)]

  /// Name of the input that holds the gradient of every element of the loss.
  static let seed = "loss_gradients"

  /// Differentiates an output, whose own gradient is the input `loss_gradients` of its shape.
  init(
    _ graph: Graph,
    of output: String,
    isTrainable: (String) -> Bool,
    columns: [String: Int] = [:]
  ) throws(GraphError) {
    guard let loss = graph.outputs.first(where: { $0.name == output })?.value else {
      throw .unknownValue(name: output)
    }
    let trainable = Set(
      graph.parameters.indices.filter { isTrainable(graph.parameters[$0].name) }
        .map(ParameterID.init(index:))
    )
    let moving = graph.moving(isTrainable)
    var part: [ParameterID: Int] = [:]
    for id in trainable {
      let parameter = graph.parameters[id.index]
      guard let count = columns[parameter.name], count < parameter.shape.columns else { continue }
      part[id] = count
    }
    var backward = BackwardBuilder(graph, moving: moving, trainable: trainable, columns: part) {
      builder in
      moving.contains(loss) ? [loss: builder.input(Self.seed, graph.type(of: loss))] : [:]
    }
    for node in graph.nodes.reversed() where node.outputs.contains(where: moving.contains) {
      backward.node = node
      guard node.outputs.indices.contains(where: { backward.outputGradient($0) != nil }) else {
        continue
      }
      guard let operation = node.operation as? any DifferentiableOperator else {
        throw .noGradient(operation: type(of: node.operation).name)
      }
      try operation.gradient(&backward)
    }
    (builder, gradients) = backward.finish()
    outputs = graph.outputs.map { ($0.name, backward.replacements[$0.value] ?? $0.value) }
    forwardCount = graph.nodes.count
  }
}
