// Apache-2.0.

extension Graph {
  /// Positions of the nodes that read each value, in order; `nodes.count` where it is an output.
  func readers() -> [[Int]] {
    var readers = [[Int]](repeating: [], count: values.count)
    for (position, node) in nodes.enumerated() {
      for value in Set(node.inputs) { readers[value.index].append(position) }
    }
    for (_, value) in outputs { readers[value.index].append(nodes.count) }
    return readers
  }

  /// The position of the node that makes each value; nil for inputs, constants and states.
  func producers() -> [Int?] {
    var producers = [Int?](repeating: nil, count: values.count)
    for (position, node) in nodes.enumerated() {
      for value in node.outputs { producers[value.index] = position }
    }
    return producers
  }

  /// The position of the first node of the backward half; nil where there is none.
  func backwardStart() -> Int? {
    guard let seed = inputs.first(where: { $0.name == Differentiation.seed })?.value else {
      return nil
    }
    return nodes.firstIndex { $0.inputs.contains(seed) }
  }
}
