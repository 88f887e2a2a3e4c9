// Apache-2.0.
import Codecs
public import GraphCompiler
import Tensors

/// Encoders of the BERT kind (Devlin et al., 2019), MiniLM among them.
///
/// Post-norm layers; a classifier reads tanh of a dense layer over the first position.
public struct BERT: ModelFamily {
  /// `model_type` in `config.json`.
  public static let modelTypes = ["bert"]

  /// Most positions a sequence may have.
  public let maximumPositions: Int
  /// Rows of the token table.
  public let vocabularyCount: Int
  /// The head the checkpoint was saved with.
  public let storedHead: ModelHead

  private let width: Int
  private let innerWidth: Int
  private let layers: Int
  private let heads: Int
  private let typeCount: Int
  private let epsilon: Float
  private let activation: Activation
  private let prefix: String
  private let hasPooler: Bool
  /// Gain and bias of layer norms, which the first checkpoints called gamma and beta.
  private let normNames: (gain: String, bias: String)

  /// Reads the configuration.
  public init(_ settings: ModelSettings, hasTensor: (String) -> Bool) throws(ModelError) {
    width = try settings.count("hidden_size")
    innerWidth = try settings.count("intermediate_size")
    layers = try settings.count("num_hidden_layers")
    heads = try settings.count("num_attention_heads")
    vocabularyCount = try settings.count("vocab_size")
    typeCount = try settings.count("type_vocab_size", default: 2)
    maximumPositions = try settings.count("max_position_embeddings")
    epsilon = Float(try settings.number("layer_norm_eps", default: 1e-12))
    guard width % heads == 0 else {
      throw .configuration("hidden_size \(width) is no multiple of \(heads) heads")
    }
    let name = try settings.string("hidden_act", default: "gelu")
    switch name {
    case "gelu": activation = .gelu
    case "gelu_new", "gelu_pytorch_tanh", "gelu_fast": activation = .geluTanh
    case "relu": activation = .relu
    case "silu", "swish": activation = .silu
    default: throw .unsupported(key: "hidden_act", value: name)
    }
    try settings.refuse("position_embedding_type", unless: .string("absolute"))
    prefix = hasTensor("embeddings.word_embeddings.weight") ? "" : "bert."
    hasPooler = hasTensor("\(prefix)pooler.dense.weight")
    normNames =
      hasTensor("\(prefix)embeddings.LayerNorm.gamma") ? ("gamma", "beta") : ("weight", "bias")
    storedHead =
      hasTensor("classifier.weight")
      ? .classifier(classes: try Decoder.classes(settings)) : .hidden
  }

  /// The classifier, and the pooler it reads.
  public var newTensors: [String] {
    [
      "classifier.weight", "classifier.bias", "\(prefix)pooler.dense.weight",
      "\(prefix)pooler.dense.bias",
    ]
  }

  /// `architectures` of an exported `config.json`.
  public func architecture(_ head: ModelHead) -> String {
    if case .classifier = head { "BertForSequenceClassification" } else { "BertModel" }
  }

  /// Bodies carry the prefix `bert.` under a head.
  public func exportName(_ name: String) -> String {
    prefix.isEmpty && !name.hasPrefix("classifier.") ? "bert.\(name)" : name
  }

  /// The graph.
  public func graph(_ request: GraphRequest) throws(ModelError) -> Graph {
    if request.head == .languageModel {
      throw .head("a BERT model has no language-modeling head here; choose classification")
    }
    return try building { () throws(GraphError) in try build(request) }
  }

  private func build(_ request: GraphRequest) throws(GraphError) -> Graph {
    let (sequences, positions) = (request.sequences, request.positions)
    var builder = GraphBuilder()
    let ids = builder.input("input_ids", ValueType([sequences, positions], .integer))
    let lengths = builder.input("lengths", ValueType([sequences], .integer))
    let scope = "\(prefix)embeddings."
    let words = try builder.embedding(
      ids,
      builder.parameter("\(scope)word_embeddings.weight", [vocabularyCount, width])
    )
    let places = try builder.positions(
      builder.parameter("\(scope)position_embeddings.weight", [maximumPositions, width]),
      sequences: sequences,
      positions: positions
    )
    // Every token is of the first type: one row, everywhere.
    let types = try builder.positions(
      builder.parameter("\(scope)token_type_embeddings.weight", [typeCount, width]),
      sequences: sequences * positions,
      positions: 1
    )
    var hidden = try norm(
      &builder,
      builder.add(builder.add(words, types), places),
      "\(scope)LayerNorm"
    )
    for layer in 0..<layers {
      hidden = try self.layer(&builder, hidden, lengths, layer, request)
    }
    guard hasPooler || request.head != .hidden else {
      return builder.finish(outputs: [("hidden", hidden)])
    }
    let isCut = layers > 0 && Self.readsFirstAlone(request)
    let first = isCut ? hidden : try builder.row(.first, of: hidden, lengths: lengths)
    let pooled = try builder.dense(
      first,
      "\(prefix)pooler.dense",
      [width, width],
      activation: .tanh
    )
    guard case .classifier(let classes) = request.head else {
      return builder.finish(outputs: [("hidden", hidden), ("pooled", pooled)])
    }
    let weight = try builder.parameter("classifier.weight", [classes, width])
    let bias = try builder.parameter("classifier.bias", [classes])
    return try builder.finish(pooled, weight, bias: bias, request)
  }

  /// Whether only the first position of the last block is read: its other rows are not made.
  private static func readsFirstAlone(_ request: GraphRequest) -> Bool {
    if case .classifier = request.head { true } else { false }
  }

  private func layer(
    _ builder: inout GraphBuilder,
    _ hidden: ValueID,
    _ lengths: ValueID,
    _ index: Int,
    _ request: GraphRequest
  ) throws(GraphError) -> ValueID {
    let scope = "\(prefix)encoder.layer.\(index)."
    let square: Shape = [width, width]
    let q = try builder.dense(hidden, "\(scope)attention.self.query", square)
    let k = try builder.dense(hidden, "\(scope)attention.self.key", square)
    let v = try builder.dense(hidden, "\(scope)attention.self.value", square)
    var attended = try builder.attention(
      q,
      k,
      v,
      lengths: lengths,
      Attention(
        heads: heads,
        keyHeads: heads,
        headDimension: width / heads,
        isCausal: false,
        computesPadding: request.computesPadding
      )
    )
    var residual = hidden
    if index == layers - 1, Self.readsFirstAlone(request) {
      attended = try builder.row(.first, of: attended, lengths: lengths)
      residual = try builder.row(.first, of: hidden, lengths: lengths)
    }
    let mixed = try norm(
      &builder,
      builder.dense(attended, "\(scope)attention.output.dense", square, residual: residual),
      "\(scope)attention.output.LayerNorm"
    )
    let inner = try builder.dense(
      mixed,
      "\(scope)intermediate.dense",
      [innerWidth, width],
      activation: activation
    )
    return try norm(
      &builder,
      builder.dense(inner, "\(scope)output.dense", [width, innerWidth], residual: mixed),
      "\(scope)output.LayerNorm"
    )
  }

  private func norm(
    _ builder: inout GraphBuilder,
    _ x: ValueID,
    _ name: String
  ) throws(GraphError) -> ValueID {
    try builder.layerNorm(
      x,
      gain: builder.parameter("\(name).\(normNames.gain)", [width]),
      bias: builder.parameter("\(name).\(normNames.bias)", [width]),
      epsilon: epsilon
    )
  }
}
