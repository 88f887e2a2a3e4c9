// Apache-2.0.
import Tensors

extension Graph {
  /// The same graph with only those columns of a forward result kept for the backward half that
  /// gradients of parts of matrices read, where nobody else reads it there.
  func withSlices() -> Graph {
    guard let start = backwardStart() else { return self }
    let (readers, producers) = (readers(), producers())
    var made = self
    var slices: [Int: [Node]] = [:]
    for value in values.indices {
      guard let source = producers[value], source < start else { continue }
      let late = readers[value].filter { $0 >= start }
      let widths = late.map { position -> Int? in
        guard position < nodes.count, nodes[position].inputs[0].index == value,
          let product = nodes[position].operation as? LinearWeightGradient
        else { return nil }
        return product.columns
      }
      guard !late.isEmpty, widths.allSatisfy({ $0 != nil }),
        let width = widths.compactMap({ $0 }).max(), width < values[value].shape.columns
      else { continue }
      let slice = made.addValue(ValueType([values[value].shape.rows, width]))
      slices[source, default: []].append(
        Node(
          operation: LeadingColumns(count: width),
          inputs: [ValueID(index: value)],
          parameters: [],
          outputs: [slice]
        )
      )
      for position in late {
        let node = made.nodes[position]
        made.nodes[position] = Node(
          operation: node.operation,
          inputs: [slice] + node.inputs.dropFirst(),
          parameters: node.parameters,
          outputs: node.outputs
        )
      }
    }
    made.nodes = made.nodes.enumerated().flatMap { [$1] + (slices[$0] ?? []) }
    return made
  }
}
