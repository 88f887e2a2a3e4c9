// Apache-2.0.
import Tensors

/// Low-rank adapters beside frozen linear layers: y = x·Wᵀ + (α/r)·(x·Aᵀ)·Bᵀ (Hu et al., 2021).
public struct Adapters: Sendable, Hashable {
  /// Rank r of A [r, inputs] and B [outputs, r].
  public let rank: Int
  /// α; the product is scaled by α/r.
  public let alpha: Float

  /// Adapters of one rank.
  public init(rank: Int, alpha: Float) {
    precondition(rank > 0, "adapters of rank \(rank)")
    self.rank = rank
    self.alpha = alpha
  }

  /// Names of A and B beside the matrix `weight`, those PEFT uses after its prefix.
  public static func names(_ weight: String) -> (a: String, b: String) {
    let suffix = ".weight"
    let module = weight.hasSuffix(suffix) ? String(weight.dropLast(suffix.count)) : weight
    return ("\(module).lora_A.weight", "\(module).lora_B.weight")
  }

  /// Whether a parameter is one of an adapter.
  public static func isPart(_ name: String) -> Bool {
    name.hasSuffix(".lora_A.weight") || name.hasSuffix(".lora_B.weight")
  }
}

extension Graph {
  /// Names of the matrices that linear layers read.
  public var linearWeights: [String] {
    var names: Set<String> = []
    for node in nodes where node.operation is Linear {
      names.insert(parameters[node.parameters[0].index].name)
    }
    return names.sorted()
  }

  /// The same graph with adapters beside the linear layers whose matrix `isWanted` names.
  ///
  /// Where B is zero the outputs are those of the graph without them.
  public func adapted(_ adapters: Adapters, where isWanted: (String) -> Bool) -> Graph {
    let names = Set(linearWeights.filter(isWanted))
    guard !names.isEmpty else { return self }
    func isAdapted(_ node: Node) -> Bool {
      node.operation is Linear && names.contains(parameters[node.parameters[0].index].name)
    }
    var made = activationsApart(where: isAdapted)
    let scale = adapters.alpha / Float(adapters.rank)
    var nodes: [Node] = []
    var pairs: [ParameterID: (a: ParameterID, b: ParameterID)] = [:]
    for node in made.nodes {
      guard isAdapted(node) else {
        nodes.append(node)
        continue
      }
      let weight = node.parameters[0]
      let pair = pairs[weight] ?? made.addPair(weight, rank: adapters.rank)
      pairs[weight] = pair
      let rows = made.type(of: node.inputs[0]).shape.rows
      let base = made.addValue(made.type(of: node.outputs[0]))
      let narrow = made.addValue(ValueType([rows, adapters.rank]))
      let scaled = made.addValue(ValueType([rows, adapters.rank]))
      let plain = Linear(hasBias: false, activation: .identity, hasResidual: false)
      let onTop = Linear(hasBias: false, activation: .identity, hasResidual: true)
      nodes += [
        Node(
          operation: node.operation,
          inputs: node.inputs,
          parameters: node.parameters,
          outputs: [base]
        ),
        Node(
          operation: plain,
          inputs: [node.inputs[0]],
          parameters: [pair.a],
          outputs: [narrow]
        ),
        Node(operation: Scale(factor: scale), inputs: [narrow], parameters: [], outputs: [scaled]),
        Node(
          operation: onTop,
          inputs: [scaled, base],
          parameters: [pair.b],
          outputs: node.outputs
        ),
      ]
    }
    made.nodes = nodes
    return made
  }

  mutating func addValue(_ type: ValueType) -> ValueID {
    values.append(type)
    return ValueID(index: values.count - 1)
  }

  private mutating func addPair(
    _ weight: ParameterID,
    rank: Int
  ) -> (a: ParameterID, b: ParameterID) {
    let (name, shape) = (parameters[weight.index].name, parameters[weight.index].shape)
    let names = Adapters.names(name)
    parameters.append(Parameter(name: names.a, shape: [rank, shape[1]]))
    parameters.append(Parameter(name: names.b, shape: [shape[0], rank]))
    return (ParameterID(index: parameters.count - 2), ParameterID(index: parameters.count - 1))
  }
}
