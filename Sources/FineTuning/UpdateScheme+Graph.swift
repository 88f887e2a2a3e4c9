// Apache-2.0.
public import GraphCompiler
import Models
import Tensors

/// What of a graph learns under a scheme.
public struct UpdateSelection: Sendable {
  /// The parameters that train, by name; for a matrix of which only the first input channels do, how
  /// many of them.
  public let columns: [String: Int?]

  /// Whether a parameter trains, in part or as a whole.
  public func contains(_ name: String) -> Bool { columns[name] != nil }

  /// Parameters of which only the first input channels train.
  public var fractions: [String: Int] { columns.compactMapValues { $0 } }
}

extension UpdateScheme {
  /// The graph with the adapters of the scheme.
  public func adapted(_ graph: Graph) -> Graph {
    for case .adapters(let adapters, let targets, let last) in terms {
      let blocks = Blocks(graph)
      return graph.adapted(adapters) { name in
        guard let block = blocks[name], block >= blocks.count - (last ?? blocks.count) else {
          return !targets.isEmpty && last == nil && Self.isTarget(name, targets)
        }
        return targets.isEmpty || Self.isTarget(name, targets)
      }
    }
    return graph
  }

  /// What learns in an adapted graph.
  ///
  /// - Throws: `FineTuningError.scheme` where a term chooses nothing.
  public func selection(_ graph: Graph) throws(FineTuningError) -> UpdateSelection {
    let blocks = Blocks(graph)
    var columns: [String: Int?] = [:]
    for term in terms {
      let chosen = chosen(by: term, graph, blocks)
      if let window = windowInPart(term, graph, blocks) {
        throw .scheme(
          description,
          reason:
            "\(term.name) has \(window) among its tensors, a window for each channel; a fraction "
            + "is of a layer's input channels, of which it has one: name it without fraction"
        )
      }
      guard !chosen.isEmpty else {
        throw .scheme(description, reason: "\(term.name) chooses nothing: \(term.missing)")
      }
      for (name, count) in chosen {
        // A whole tensor includes any part of it.
        if let known = columns[name], known ?? Int.max >= count ?? Int.max { continue }
        columns.updateValue(count, forKey: name)
      }
    }
    return UpdateSelection(columns: columns)
  }

  /// A depthwise weight that a term would train in part.
  private func windowInPart(_ term: Term, _ graph: Graph, _ blocks: Blocks) -> String? {
    guard case .weights(let pattern, let fraction, let last) = term, fraction < 1 else {
      return nil
    }
    let selection = ParameterSelection([pattern])
    return graph.parameters.first {
      $0.shape.rank > 2 && selection.contains($0.name) && blocks.holds(last: last, $0.name)
    }?.name
  }

  private func chosen(
    by term: Term,
    _ graph: Graph,
    _ blocks: Blocks
  ) -> [(name: String, columns: Int?)] {
    let stored = graph.parameters.filter { !Adapters.isPart($0.name) }
    let names: [String]
    switch term {
    case .full: names = stored.map(\.name)
    case .head: names = graph.nodes.last { !$0.parameters.isEmpty }.map(graph.names(of:)) ?? []
    case .blocks(let last): names = stored.map(\.name).filter { blocks.holds(last: last, $0) }
    case .biases(let last):
      names = stored.map(\.name).filter {
        Self.isBias($0) && blocks.holds(last: last, $0)
      }
    case .weights(let pattern, let fraction, let last):
      let selection = ParameterSelection([pattern])
      let matrices = Set(graph.linearWeights)
      return stored.filter { selection.contains($0.name) && blocks.holds(last: last, $0.name) }
        .compactMap {
          guard fraction < 1 else { return ($0.name, nil) }
          guard matrices.contains($0.name) else { return nil }
          return ($0.name, max(1, Int(fraction * Double($0.shape.columns))))
        }
    case .adapters: names = graph.parameters.map(\.name).filter(Adapters.isPart)
    }
    return names.map { ($0, nil) }
  }

  static func isBias(_ name: String) -> Bool {
    name.hasSuffix(".bias") || name.hasSuffix(".beta")
  }

  /// Whether a matrix is one of the named modules, by its last name or by a pattern.
  private static func isTarget(_ name: String, _ targets: [String]) -> Bool {
    let module = name.hasSuffix(".weight") ? String(name.dropLast(7)) : name
    let last = module.split(separator: ".").last.map(String.init) ?? module
    return targets.contains { $0 == last || ParameterSelection([$0]).contains(module) }
  }
}

/// Blocks of a model, by the first number in the names of its tensors.
struct Blocks {
  let count: Int

  init(_ graph: Graph) {
    count = (graph.parameters.compactMap { Self.number($0.name) }.max() ?? -1) + 1
  }

  subscript(name: String) -> Int? { Self.number(name) }

  /// Whether a tensor is of the last `wanted` blocks; all are where that is nil.
  func holds(last wanted: Int?, _ name: String) -> Bool {
    guard let last = wanted else { return true }
    return self[name].map { $0 >= self.count - last } ?? false
  }

  private static func number(_ name: String) -> Int? {
    for part in name.split(separator: ".") {
      if let number = Int(part), number >= 0, number < 1 << 20 { return number }
    }
    return nil
  }
}

extension LoadedModel {
  /// What to know of a `head` term where the head is the token table, which the first layer reads too;
  /// nil elsewhere.
  public var tiedHeadNote: String? {
    guard request.scheme?.terms.contains(.head) == true,
      let graph = try? family.graph(
        GraphRequest(sequences: 1, positions: 1, head: head, hasLoss: head != .hidden)
      ), let last = graph.nodes.last(where: { !$0.parameters.isEmpty })
    else { return nil }
    let isShared = graph.nodes.dropLast().contains { node in
      node.operation is Embedding && node.parameters.contains(where: last.parameters.contains)
    }
    guard isShared, let name = graph.names(of: last).first else { return nil }
    return
      "the head is \(name), which the first layer reads too: its gradient goes through the whole "
      + "model, and no prefix is kept; blocks:last=K is cheaper"
  }
}

extension Graph {
  fileprivate func names(of node: Node) -> [String] {
    node.parameters.map { parameters[$0.index].name }
  }
}

extension UpdateScheme.Term {
  /// What a model lacks in which the term chooses nothing.
  fileprivate var missing: String {
    switch self {
    case .full: "the model has no parameters"
    case .head: "no layer of the model has parameters"
    case .blocks: "no tensor's name has a number, which counts blocks"
    case .biases(nil): "the model has no biases"
    case .biases: "those blocks have no biases"
    case .weights(_, let fraction, _) where fraction < 1:
      "no matrix of a linear layer has such a name, and only those train in part"
    case .weights: "no tensor has such a name"
    case .adapters(_, let targets, _) where targets.isEmpty: "no linear layer is in a block"
    case .adapters: "no linear layer has such a name"
    }
  }

  fileprivate var name: String {
    switch self {
    case .full: "full"
    case .head: "head"
    case .blocks(let last): "blocks:last=\(last)"
    case .biases: "bias"
    case .weights(let pattern, _, _): "weights:\(pattern)"
    case .adapters: "lora"
    }
  }
}
