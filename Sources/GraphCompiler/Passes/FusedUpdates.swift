// Apache-2.0.
import Tensors

extension Graph {
  /// The same graph with the gradients of matrices and tables that only an update reads never stored:
  /// each of their elements moves its weight as soon as it is summed.
  func withFusedUpdates() -> Graph {
    let (readers, producers) = (readers(), producers())
    var made = self
    var fused: Set<Int> = []
    for (position, node) in nodes.enumerated() {
      guard let update = node.operation as? Update, !update.isScaled,
        readers[node.inputs[0].index] == [position],
        let source = producers[node.inputs[0].index]
      else { continue }
      if let rows = nodes[source].operation as? EmbeddingGradient, !rows.hasSum {
        made.nodes[position] = Node(
          operation: EmbeddingUpdate(optimizer: update.optimizer, rows: rows.rows),
          inputs: nodes[source].inputs + node.inputs.dropFirst(),
          parameters: node.parameters,
          outputs: [
            made.addValue(ValueType([rows.rows], .integer)),
            made.addValue(ValueType([type(of: nodes[source].inputs[1]).shape.rows], .integer)),
          ]
        )
        fused.insert(source)
        continue
      }
      guard
        let gradient = nodes[source].operation as? LinearWeightGradient, !gradient.hasSum,
        // States of a part of a matrix are narrower than it.
        gradient.columns == nil || update.optimizer.stateCount == 0
      else { continue }
      made.nodes[position] = Node(
        operation: LinearWeightUpdate(optimizer: update.optimizer, columns: gradient.columns),
        inputs: nodes[source].inputs + node.inputs.dropFirst(),
        parameters: node.parameters,
        outputs: []
      )
      fused.insert(source)
    }
    made.nodes = made.nodes.enumerated().filter { !fused.contains($0.offset) }.map(\.element)
    return made
  }
}
