// Apache-2.0.
import Codecs
public import GraphCompiler
import Tensors

/// Decoders of the GPT-2 kind (Radford et al., 2019).
///
/// Learned positions, pre-norm layers with one product for queries, keys and values, a feed-forward
/// layer with the approximate GELU, tied output table. Checkpoints hold the matrices of layers as
/// [inputs, outputs]; here they are [outputs, inputs] as everywhere, turned when they are read and
/// written.
public struct GPT2: ModelFamily {
  /// `model_type` in `config.json`.
  public static let modelTypes = ["gpt2"]

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
  private let epsilon: Float
  private let activation: Activation
  private let isTied: Bool
  private let prefix: String

  /// Reads the configuration.
  public init(_ settings: ModelSettings, hasTensor: (String) -> Bool) throws(ModelError) {
    width = try settings.count("n_embd", default: 768)
    innerWidth = try settings.count("n_inner", default: 4 * width)
    layers = try settings.count("n_layer", default: 12)
    heads = try settings.count("n_head", default: 12)
    vocabularyCount = try settings.count("vocab_size", default: 50_257)
    maximumPositions = try settings.count("n_positions", default: 1024)
    epsilon = Float(try settings.number("layer_norm_epsilon", default: 1e-5))
    guard width % heads == 0 else {
      throw .configuration("n_embd \(width) is no multiple of \(heads) heads")
    }
    let name = try settings.string("activation_function", default: "gelu_new")
    switch name {
    case "gelu_new", "gelu_pytorch_tanh", "gelu_fast": activation = .geluTanh
    case "gelu": activation = .gelu
    case "relu": activation = .relu
    case "silu", "swish": activation = .silu
    default: throw .unsupported(key: "activation_function", value: name)
    }
    try settings.refuse("scale_attn_weights", unless: .bool(true))
    try settings.refuse("scale_attn_by_inverse_layer_idx", unless: .bool(false))
    prefix = hasTensor("wte.weight") ? "" : "transformer."
    let ties = try settings.bool("tie_word_embeddings", default: true)
    isTied = ties || !hasTensor("lm_head.weight")
    storedHead =
      hasTensor("score.weight")
      ? .classifier(classes: try Decoder.classes(settings)) : .languageModel
  }

  /// The matrix of a new classifier.
  public var newTensors: [String] { ["score.weight"] }

  /// `architectures` of an exported `config.json`.
  public func architecture(_ head: ModelHead) -> String {
    switch head {
    case .hidden: "GPT2Model"
    case .languageModel: "GPT2LMHeadModel"
    case .classifier: "GPT2ForSequenceClassification"
    }
  }

  /// Bodies carry the prefix `transformer.` under a head.
  public func exportName(_ name: String) -> String {
    let isHead = name == "lm_head.weight" || name == "score.weight"
    return prefix.isEmpty && !isHead ? "transformer.\(name)" : name
  }

  /// The matrices of `Conv1D` modules, which are those of the blocks.
  public func isTransposed(_ name: String) -> Bool {
    [".attn.c_attn.weight", ".attn.c_proj.weight", ".mlp.c_fc.weight", ".mlp.c_proj.weight"]
      .contains { name.hasSuffix($0) }
  }

  /// The graph.
  public func graph(_ request: GraphRequest) throws(ModelError) -> Graph {
    try building { () throws(GraphError) in try build(request) }
  }

  private func build(_ request: GraphRequest) throws(GraphError) -> Graph {
    let (sequences, positions) = (request.sequences, request.positions)
    var builder = GraphBuilder()
    let ids = builder.input("input_ids", ValueType([sequences, positions], .integer))
    let lengths = builder.input("lengths", ValueType([sequences], .integer))
    let table = try builder.parameter("\(prefix)wte.weight", [vocabularyCount, width])
    let places = try builder.positions(
      builder.parameter("\(prefix)wpe.weight", [maximumPositions, width]),
      sequences: sequences,
      positions: positions
    )
    var hidden = try builder.add(builder.embedding(ids, table), places)
    for layer in 0..<layers {
      hidden = try self.layer(&builder, hidden, lengths, "\(prefix)h.\(layer).", request)
    }
    hidden = try norm(&builder, hidden, "\(prefix)ln_f")
    return try builder.finishDecoder(
      hidden,
      lengths: lengths,
      table: table,
      isTied: isTied,
      request
    )
  }

  private func layer(
    _ builder: inout GraphBuilder,
    _ hidden: ValueID,
    _ lengths: ValueID,
    _ scope: String,
    _ request: GraphRequest
  ) throws(GraphError) -> ValueID {
    let normal = try norm(&builder, hidden, "\(scope)ln_1")
    let parts = try builder.split(
      builder.dense(normal, "\(scope)attn.c_attn", [3 * width, width]),
      into: 3
    )
    let attended = try builder.attention(
      parts[0],
      parts[1],
      parts[2],
      lengths: lengths,
      Attention(
        heads: heads,
        keyHeads: heads,
        headDimension: width / heads,
        isCausal: true,
        computesPadding: request.computesPadding
      )
    )
    let mixed = try builder.dense(
      attended,
      "\(scope)attn.c_proj",
      [width, width],
      residual: hidden
    )
    let inner = try builder.dense(
      norm(&builder, mixed, "\(scope)ln_2"),
      "\(scope)mlp.c_fc",
      [innerWidth, width],
      activation: activation
    )
    return try builder.dense(
      inner,
      "\(scope)mlp.c_proj",
      [width, innerWidth],
      residual: mixed
    )
  }

  private func norm(
    _ builder: inout GraphBuilder,
    _ x: ValueID,
    _ name: String
  ) throws(GraphError) -> ValueID {
    try builder.layerNorm(
      x,
      gain: builder.parameter("\(name).weight", [width]),
      bias: builder.parameter("\(name).bias", [width]),
      epsilon: epsilon
    )
  }
}
