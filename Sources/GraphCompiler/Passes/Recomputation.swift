// Apache-2.0.

extension Graph {
  /// Forward nodes whose results are made again in the backward half for nothing: norms, activations
  /// and gates whose operands are there anyway.
  func cheapRecomputations() -> Set<Int> {
    guard let start = backwardStart() else { return [] }
    let (readers, producers) = (readers(), producers())
    // Steps an operand may have to live longer for it.
    let patience = 6
    var chosen: Set<Int> = []
    for (position, node) in nodes[..<start].enumerated() {
      guard node.operation is any CheapOperator, node.outputs.count == 1,
        let first = readers[node.outputs[0].index].first(where: { $0 >= start }),
        first < nodes.count
      else { continue }
      let isFree = node.inputs.allSatisfy { value in
        let isGiven = producers[value.index] == nil
        return isGiven || readers[value.index].contains { $0 >= first - patience && $0 >= start }
      }
      if isFree { chosen.insert(position) }
    }
    return chosen
  }

  /// Forward nodes whose results could be made again, most bytes saved per operation first.
  func possibleRecomputations() -> [Int] {
    guard let start = backwardStart() else { return [] }
    let readers = readers()
    let rates = nodes[..<start].enumerated().compactMap { position, node -> (Int, Double)? in
      guard !node.operation.hasEffect, node.outputs.count == 1, !node.inputs.isEmpty,
        readers[node.outputs[0].index].contains(where: { $0 >= start && $0 < nodes.count })
      else { return nil }
      let flops = node.operation.flops(
        node.inputs.map(type(of:)),
        node.parameters.map { parameters[$0.index].shape }
      )
      return (position, Double(type(of: node.outputs[0]).byteCount) / Double(max(1, flops)))
    }
    return rates.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.map(\.0)
  }

  /// The same graph with the outputs of some forward nodes made again in the backward half just
  /// before somebody reads them there.
  func recomputing(_ positions: Set<Int>) -> Graph {
    guard let start = backwardStart(), !positions.isEmpty else { return self }
    var made = self
    let kept = Set(outputs.map(\.value))
    var source: [ValueID: Int] = [:]
    for position in positions {
      for value in nodes[position].outputs where !kept.contains(value) {
        source[value] = position
      }
    }
    made.nodes = Array(nodes[..<start])
    var renamed: [ValueID: ValueID] = [:]
    func current(_ value: ValueID) -> ValueID {
      if let known = renamed[value] { return known }
      guard let position = source[value] else { return value }
      let node = nodes[position]
      let inputs = node.inputs.map(current)
      let outputs = node.outputs.map { made.addValue(type(of: $0)) }
      made.nodes.append(
        Node(
          operation: node.operation,
          inputs: inputs,
          parameters: node.parameters,
          outputs: outputs
        )
      )
      for (old, new) in zip(node.outputs, outputs) { renamed[old] = new }
      return renamed[value] ?? value
    }
    for node in nodes[start...] {
      let inputs = node.inputs.map(current)
      made.nodes.append(
        Node(
          operation: node.operation,
          inputs: inputs,
          parameters: node.parameters,
          outputs: node.outputs
        )
      )
    }
    return made
  }

  /// The same graph after `rest`, with as many results made again as it takes for its values to fit
  /// `budget` bytes, or as help.
  func recomputing(
    _ chosen: Set<Int>,
    toFit budget: Int,
    then rest: (Graph) -> Graph
  ) -> Graph {
    var (positions, graph) = (chosen, rest(recomputing(chosen)))
    var bytes = graph.leastArenaBytes
    for position in possibleRecomputations() where bytes > budget {
      guard !positions.contains(position) else { continue }
      let other = rest(recomputing(positions.union([position])))
      let least = other.leastArenaBytes
      guard least < bytes else { continue }
      positions.insert(position)
      (graph, bytes) = (other, least)
    }
    return graph
  }

  /// Bytes no arena of this order of nodes can do with less than.
  var leastArenaBytes: Int {
    let lifetimes = Lifetimes(withoutDeadNodes(), keepsInputs: false)
    return MemoryPlan.lowerBound(lifetimes.intervals)
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
