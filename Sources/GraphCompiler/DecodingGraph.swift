// Apache-2.0.
import Tensors

/// The graph of a decoder that goes on from what it has read before.
///
/// Beside `input_ids` [B, T] and `lengths` [B], now those of the new positions, it has the inputs
/// `past` [B], positions read before, and `positions` [B·T], the place of each new one. Keys and
/// values of all positions are kept in the states `keys.N` and `values.N`. Its only output is the
/// `logits` [B, N] behind the last new position.
public struct DecodingGraph: Sendable {
  /// The graph.
  public let graph: Graph

  /// Transforms a forward graph that ends in `logits` [B·T, N].
  ///
  /// - Parameters:
  ///   - wide: the same graph of one sequence with as many positions as the cache has; its constants
  ///   are the tables of all positions.
  ///   - capacity: positions of the cache.
  /// - Throws: `GraphError.unknownValue` where the graph has not the form of a decoder.
  public init(_ forward: Graph, wide: Graph, capacity: Int) throws(GraphError) {
    var builder = GraphBuilder()
    var values: [ValueID: ValueID] = [:]
    for (name, value) in forward.inputs {
      values[value] = builder.input(name, forward.type(of: value))
    }
    func given(_ name: String) throws(GraphError) -> ValueID {
      guard let found = forward.inputs.first(where: { $0.name == name }),
        let value = values[found.value]
      else { throw .unknownValue(name: name) }
      return value
    }
    guard let logits = forward.outputs.first(where: { $0.name == "logits" })?.value,
      wide.constants.count == forward.constants.count
    else { throw .unknownValue(name: "logits") }
    let (ids, lengths) = (try given("input_ids"), try given("lengths"))
    let sequences = builder.type(of: lengths).shape.elementCount
    let rows = builder.type(of: ids).shape.elementCount
    let past = builder.input("past", ValueType([sequences], .integer))
    let positions = builder.input("positions", ValueType([rows], .integer))
    for (constant, table) in zip(forward.constants, wide.constants) {
      let shape = wide.type(of: table.value).shape
      values[constant.value] = builder.constant(table.data, shape)
    }
    var layer = 0
    for node in forward.nodes {
      var inputs = node.inputs.compactMap { values[$0] }
      var parameters: [ParameterID] = []
      for id in node.parameters {
        let parameter = forward.parameters[id.index]
        parameters.append(try builder.parameter(parameter.name, parameter.shape))
      }
      let made: [ValueID]
      switch node.operation {
      case let rotary as Rotary:
        let operation = PositionedRotary(headDimension: rotary.headDimension)
        made = try builder.apply(operation, inputs + [positions])
      case let attention as Attention:
        let cache = ValueType([sequences * capacity, builder.type(of: inputs[1]).shape.columns])
        inputs += [
          past, builder.state("keys.\(layer)", cache), builder.state("values.\(layer)", cache),
        ]
        layer += 1
        made = try builder.apply(CachedAttention(attention, capacity: capacity), inputs)
      case is PositionEmbedding:
        made = try builder.apply(Embedding(), [positions], parameters)
      default:
        if node.outputs.contains(logits), builder.type(of: inputs[0]).shape.rows == rows {
          inputs[0] = try builder.row(.last, of: inputs[0], lengths: lengths)
        }
        made = try builder.apply(node.operation, inputs, parameters)
      }
      for (old, new) in zip(node.outputs, made) { values[old] = new }
    }
    guard layer > 0, let end = values[logits] else { throw .unknownValue(name: "logits") }
    graph = builder.finish(outputs: [("logits", end)])
  }
}
