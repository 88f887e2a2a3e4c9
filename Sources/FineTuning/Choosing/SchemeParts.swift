// Apache-2.0.
public import GraphCompiler
import Models
import Tensors

/// What of a model may learn, part by part: the genes of a sparse scheme.
///
/// As in "On-Device Training Under 256KB Memory" (Lin et al., 2022): biases of the last k blocks, and of
/// each matrix a share of its input channels. The head of a classifier always trains; tables of
/// embeddings never do.
public struct SchemeParts: Sendable {
  /// A matrix that may learn.
  public struct Matrix: Sendable, Hashable {
    /// Name in the checkpoint.
    public let name: String
    /// Blocks from its own to the last one; 0 where it stands behind all of them.
    public let depth: Int
    /// Scalars.
    public let count: Int
    /// Shares of its input channels, as written, ascending.
    public let ratios: [String]

    /// A matrix.
    public init(name: String, depth: Int, count: Int, ratios: [String]) {
      self.name = name
      self.depth = depth
      self.count = count
      self.ratios = ratios
    }
  }

  /// What is chosen of the parts.
  public struct Choice: Sendable, Hashable {
    /// Blocks whose biases learn, k.
    public var depth: Int
    /// For each matrix how much of it learns: 0, or the place of its ratio counted from one.
    public var levels: [Int]
  }

  /// Matrices, in the order of the graph.
  public let matrices: [Matrix]
  /// Blocks down to the first that has biases, counted from the last one; 0 where none has.
  public let biasDepth: Int
  /// Blocks down to the last that has biases.
  private let leastBiasDepth: Int
  /// Whether the head trains in every choice.
  public let trainsHead: Bool

  /// The parts of a model.
  ///
  /// - Parameters:
  ///   - ratios: shares of input channels, ascending, as in `1/4` and `1`.
  ///   - last: only blocks so near the end; all where nil.
  public init(_ model: LoadedModel, ratios: [String], last: Int? = nil) throws(FineTuningError) {
    let request = GraphRequest(sequences: 1, positions: 1, head: model.head, hasLoss: true)
    let graph = try FineTuningError.inModel(model.request.directory) { try model.graph(request) }
    self.init(graph, trainsHead: model.head.isClassifier, ratios: ratios, last: last)
  }

  /// The parts of a graph that ends in a loss.
  public init(_ graph: Graph, trainsHead: Bool, ratios: [String], last: Int? = nil) {
    let blocks = Blocks(graph)
    let layers = Set(graph.linearWeights)
    var left = Set(graph.nodes.filter { $0.operation.isTable }.flatMap(\.parameters))
    if let head = graph.nodes.last(where: { !$0.parameters.isEmpty }) {
      left.formUnion(head.parameters)
    }
    func depth(_ name: String) -> Int { blocks[name].map { blocks.count - $0 } ?? 0 }
    var biases: Set<Int> = []
    var matrices: [Matrix] = []
    for node in graph.nodes {
      for id in node.parameters where !left.contains(id) {
        let parameter = graph.parameters[id.index]
        let depth = depth(parameter.name)
        guard depth <= last ?? .max else { continue }
        left.insert(id)
        if UpdateScheme.isBias(parameter.name), depth > 0 { biases.insert(depth) }
        guard parameter.shape.rank > 1 else { continue }
        matrices.append(
          Matrix(
            name: parameter.name,
            depth: depth,
            count: parameter.shape.elementCount,
            ratios: layers.contains(parameter.name) ? ratios : ["1"]
          )
        )
      }
    }
    self.matrices = matrices
    biasDepth = biases.max() ?? 0
    leastBiasDepth = biases.min() ?? 0
    self.trainsHead = trainsHead
  }

  /// Parts that belong to no model, for searches alone.
  public init(matrices: [Matrix], biasDepth: Int, trainsHead: Bool) {
    self.matrices = matrices
    self.biasDepth = biasDepth
    leastBiasDepth = min(1, biasDepth)
    self.trainsHead = trainsHead
  }

  /// Nothing but the head.
  public var none: Choice { Choice(depth: 0, levels: [Int](repeating: 0, count: matrices.count)) }

  /// The choice with the biases of every block that gradients reach anyway.
  public func completed(_ choice: Choice) -> Choice {
    var made = choice
    for (matrix, level) in zip(matrices, choice.levels) where level > 0 {
      made.depth = max(made.depth, min(matrix.depth, biasDepth))
    }
    return made
  }

  /// The scheme of a choice as `--scheme` takes it; nil where nothing trains.
  public func scheme(_ choice: Choice) throws(FineTuningError) -> UpdateScheme? {
    var terms = trainsHead ? ["head"] : []
    if choice.depth > 0, choice.depth >= leastBiasDepth {
      terms.append("bias:last=\(choice.depth)")
    }
    for (matrix, level) in zip(matrices, choice.levels) where level > 0 {
      let ratio = matrix.ratios[level - 1]
      terms.append("weights:\(matrix.name)" + (ratio == "1" ? "" : ",fraction=\(ratio)"))
    }
    return terms.isEmpty ? nil : try UpdateScheme(terms.joined(separator: "+"))
  }
}

extension Operator {
  /// Whether its parameter is a table of embeddings.
  fileprivate var isTable: Bool { self is Embedding || self is PositionEmbedding }
}
