// Apache-2.0.

extension Graph {
  /// The same graph with results of cheap operators made again in the backward half where that keeps
  /// nothing alive that would not be: norms, activations and gates.
  func withCheapRecomputation() -> Graph {
    guard let start = backwardStart() else { return self }
    let (readers, producers) = (readers(), producers())
    // Steps an operand may have to live longer for it.
    let patience = 6
    var clones: [Int] = []
    for (position, node) in nodes[..<start].enumerated() {
      guard node.operation is any CheapOperator, node.outputs.count == 1,
        let first = readers[node.outputs[0].index].first(where: { $0 >= start }),
        first < nodes.count
      else { continue }
      let isFree = node.inputs.allSatisfy { value in
        let isGiven = producers[value.index] == nil
        return isGiven || readers[value.index].contains { $0 >= first - patience && $0 >= start }
      }
      if isFree { clones.append(position) }
    }
    return recomputing(Set(clones), from: start, readers)
  }

  /// The same graph with the outputs of some forward nodes made again before their first reader in
  /// the backward half, which begins at `start`.
  func recomputing(_ positions: Set<Int>, from start: Int, _ readers: [[Int]]) -> Graph {
    guard !positions.isEmpty else { return self }
    var made = self
    var before: [Int: [Int]] = [:]
    for position in positions.sorted() {
      let late = nodes[position].outputs.flatMap { readers[$0.index] }.filter { $0 >= start }
      guard let first = late.min(), first < nodes.count else { continue }
      before[first, default: []].append(position)
    }
    var renamed: [ValueID: ValueID] = [:]
    made.nodes = []
    for (position, node) in nodes.enumerated() {
      for source in before[position] ?? [] {
        let clone = nodes[source]
        let outputs = clone.outputs.map { made.addValue(type(of: $0)) }
        made.nodes.append(
          Node(
            operation: clone.operation,
            inputs: clone.inputs.map { renamed[$0] ?? $0 },
            parameters: clone.parameters,
            outputs: outputs
          )
        )
        for (old, new) in zip(clone.outputs, outputs) { renamed[old] = new }
      }
      made.nodes.append(
        Node(
          operation: node.operation,
          inputs: position < start ? node.inputs : node.inputs.map { renamed[$0] ?? $0 },
          parameters: node.parameters,
          outputs: node.outputs
        )
      )
    }
    return made
  }
}

/// An operator whose result costs less to make again than to keep.
protocol CheapOperator: Operator {}

extension RMSNorm: CheapOperator {}
extension LayerNorm: CheapOperator {}
extension Activate: CheapOperator {}
extension SiLUMultiply: CheapOperator {}
extension Add: CheapOperator {}
extension Scale: CheapOperator {}
