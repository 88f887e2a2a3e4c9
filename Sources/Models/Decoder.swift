// Apache-2.0.
import Codecs
public import GraphCompiler
import Tensors

/// Decoders of the Llama kind: Llama 1 to 3, Mistral, SmolLM, TinyLlama, Qwen2.
///
/// Embedding, then layers of RMS norm, rotary grouped-query attention and a gated feed-forward layer
/// (Touvron et al., 2023), final RMS norm; tied or untied output table.
public struct Decoder: ModelFamily {
  /// `model_type` in `config.json`.
  public static let modelTypes = ["llama", "mistral", "qwen2"]

  /// Most positions a sequence may have.
  public let maximumPositions: Int
  /// Rows of the token table.
  public let vocabularyCount: Int
  /// The head the checkpoint was saved with.
  public let storedHead: ModelHead

  private let modelType: String
  private let width: Int
  private let innerWidth: Int
  private let layers: Int
  private let heads: Int
  private let keyHeads: Int
  private let headDimension: Int
  private let epsilon: Float
  private let isTied: Bool
  private let hasQueryBias: Bool
  private let hasOutputBias: Bool
  private let hasInnerBias: Bool
  private let rotary: RotaryTable
  private let prefix: String

  /// Reads the configuration.
  public init(_ settings: ModelSettings, hasTensor: (String) -> Bool) throws(ModelError) {
    modelType = try settings.string("model_type")
    width = try settings.count("hidden_size")
    innerWidth = try settings.count("intermediate_size")
    layers = try settings.count("num_hidden_layers")
    heads = try settings.count("num_attention_heads")
    keyHeads = try settings.count("num_key_value_heads", default: heads)
    headDimension = try settings.count("head_dim", default: max(1, width / heads))
    vocabularyCount = try settings.count("vocab_size")
    epsilon = Float(try settings.number("rms_norm_eps", default: 1e-6))
    guard heads % keyHeads == 0, headDimension % 2 == 0 else {
      throw .configuration(
        "\(heads) heads of \(headDimension) over \(keyHeads) key heads is not a decoder"
      )
    }
    let activation = try settings.string("hidden_act", default: "silu")
    guard ["silu", "swish"].contains(activation) else {
      throw .unsupported(key: "hidden_act", value: activation)
    }
    let isQwen = modelType == "qwen2"
    let hasAttentionBias = try settings.bool("attention_bias", default: false)
    let hasFeedForwardBias = try settings.bool("mlp_bias", default: false)
    hasQueryBias = isQwen || hasAttentionBias
    hasOutputBias = !isQwen && hasAttentionBias
    hasInnerBias = !isQwen && hasFeedForwardBias
    rotary = try RotaryTable(settings, headDimension: headDimension)
    maximumPositions = try Self.positions(settings, modelType)
    prefix = hasTensor("embed_tokens.weight") ? "" : "model."
    let tied = try settings.bool("tie_word_embeddings", default: false)
    let hasOutput = hasTensor("lm_head.weight")
    isTied = tied || (prefix.isEmpty && !hasOutput)
    storedHead =
      hasTensor("score.weight")
      ? .classifier(classes: try Self.classes(settings))
      : .languageModel
  }

  private static func positions(
    _ settings: ModelSettings,
    _ modelType: String
  ) throws(ModelError) -> Int {
    let positions = try settings.count("max_position_embeddings", default: 2048)
    let isAskedFor = try settings.bool("use_sliding_window", default: false)
    let kinds = try settings.strings("layer_types")
    let slides =
      switch modelType {
      case "mistral": true
      case "qwen2": isAskedFor || kinds.contains("sliding_attention")
      default: false
      }
    // Within the window sliding attention is full attention.
    guard slides, settings.isPresent("sliding_window") else { return positions }
    return min(positions, try settings.count("sliding_window"))
  }

  /// `num_labels`, or as many as `id2label` names; two by default.
  static func classes(_ settings: ModelSettings) throws(ModelError) -> Int {
    if settings.isPresent("num_labels") { return try settings.count("num_labels") }
    return settings.labelCount ?? 2
  }

  /// The matrix of a new classifier.
  public var newTensors: [String] { ["score.weight"] }

  /// `architectures` of an exported `config.json`.
  public func architecture(_ head: ModelHead) -> String {
    let family =
      switch modelType {
      case "mistral": "Mistral"
      case "qwen2": "Qwen2"
      default: "Llama"
      }
    switch head {
    case .hidden: return "\(family)Model"
    case .languageModel: return "\(family)ForCausalLM"
    case .classifier: return "\(family)ForSequenceClassification"
    }
  }

  /// Bodies carry the prefix `model.` under a head.
  public func exportName(_ name: String) -> String {
    let isHead = name == "lm_head.weight" || name == "score.weight"
    return prefix.isEmpty && !isHead ? "model.\(name)" : name
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
    let tables = rotary.tables(positions: positions)
    let shape: Shape = [positions, headDimension / 2]
    let cosines = builder.constant(tables.cosines, shape)
    let sines = builder.constant(tables.sines, shape)
    let table = try builder.parameter("\(prefix)embed_tokens.weight", [vocabularyCount, width])
    let attention = Attention(
      heads: heads,
      keyHeads: keyHeads,
      headDimension: headDimension,
      isCausal: true,
      computesPadding: request.computesPadding
    )
    var hidden = try builder.embedding(ids, table)
    for layer in 0..<layers {
      let scope = "\(prefix)layers.\(layer)."
      let normal = try builder.rmsNorm(
        hidden,
        gain: builder.parameter("\(scope)input_layernorm.weight", [width]),
        epsilon: epsilon
      )
      func projected(
        _ builder: inout GraphBuilder,
        _ name: String,
        _ columns: Int
      ) throws(GraphError) -> ValueID {
        try builder.dense(
          normal,
          "\(scope)self_attn.\(name)",
          [columns, width],
          hasBias: hasQueryBias
        )
      }
      let q = try projected(&builder, "q_proj", heads * headDimension)
      let k = try projected(&builder, "k_proj", keyHeads * headDimension)
      let v = try projected(&builder, "v_proj", keyHeads * headDimension)
      let turnedQ = try builder.rotary(
        q,
        cosines: cosines,
        sines: sines,
        headDimension: headDimension
      )
      let turnedK = try builder.rotary(
        k,
        cosines: cosines,
        sines: sines,
        headDimension: headDimension
      )
      let attended = try builder.attention(turnedQ, turnedK, v, lengths: lengths, attention)
      hidden = try builder.dense(
        attended,
        "\(scope)self_attn.o_proj",
        [width, heads * headDimension],
        hasBias: hasOutputBias,
        residual: hidden
      )
      let inside = try builder.rmsNorm(
        hidden,
        gain: builder.parameter("\(scope)post_attention_layernorm.weight", [width]),
        epsilon: epsilon
      )
      let inner: Shape = [innerWidth, width]
      let gate = try builder.dense(inside, "\(scope)mlp.gate_proj", inner, hasBias: hasInnerBias)
      let up = try builder.dense(inside, "\(scope)mlp.up_proj", inner, hasBias: hasInnerBias)
      hidden = try builder.dense(
        builder.siluMultiply(gate, up),
        "\(scope)mlp.down_proj",
        [width, innerWidth],
        hasBias: hasInnerBias,
        residual: hidden
      )
    }
    hidden = try builder.rmsNorm(
      hidden,
      gain: builder.parameter("\(prefix)norm.weight", [width]),
      epsilon: epsilon
    )
    return try builder.finishDecoder(
      hidden,
      lengths: lengths,
      table: table,
      isTied: isTied,
      request
    )
  }
}

extension ModelSettings {
  /// How many labels `id2label` names; nil where there is none.
  var labelCount: Int? {
    guard case .object(let members) = raw("id2label") else { return nil }
    return members.count
  }
}
