// Apache-2.0.

/// From which step to which each value is alive, after values have been merged in place.
struct Lifetimes {
  private(set) var intervals: [MemoryPlan.Interval] = []
  /// The interval that holds each value.
  private(set) var intervalOfValue: [Int]

  init(_ graph: Graph, keepsInputs: Bool) {
    let end = graph.nodes.count
    var first = [Int](repeating: 0, count: graph.values.count)
    var last = [Int](repeating: 0, count: graph.values.count)
    // Kept inputs stay for the next run: a second pass may read them again.
    let inputs = Set(graph.inputs.map(\.value.index))
    if keepsInputs { for index in inputs { last[index] = end } }
    for (step, node) in graph.nodes.enumerated() {
      for value in node.inputs { last[value.index] = max(last[value.index], step) }
      for value in node.outputs { (first[value.index], last[value.index]) = (step, step) }
    }
    for (_, value) in graph.outputs { last[value.index] = end }
    // A value that takes over the memory of one that dies shares its interval.
    var owner = Array(graph.values.indices)
    let constants = Set(
      graph.constants.map(\.value.index) + graph.states.map(\.value.index)
    )
    for (step, node) in graph.nodes.enumerated() {
      guard let output = node.outputs.first else { continue }
      for position in node.operation.overwritableInputs {
        let input = node.inputs[position]
        let isMade = first[input.index] < step || inputs.contains(input.index)
        let dies = last[input.index] == step && isMade
        let readOnce = node.inputs.filter { $0 == input }.count == 1
        let kept = owner[input.index]
        guard dies, readOnce, !constants.contains(input.index),
          graph.type(of: input) == graph.type(of: output)
        else { continue }
        owner[output.index] = kept
        break
      }
    }
    var lastOfOwner = last
    for value in graph.values.indices {
      lastOfOwner[owner[value]] = max(lastOfOwner[owner[value]], last[value])
    }
    intervalOfValue = owner
    var position: [Int: Int] = [:]
    for value in graph.values.indices where owner[value] == value && !constants.contains(value) {
      position[value] = intervals.count
      intervals.append(
        .init(
          bytes: graph.values[value].byteCount,
          first: first[value],
          last: lastOfOwner[value]
        )
      )
    }
    intervalOfValue = owner.map { position[$0] ?? 0 }
  }
}
