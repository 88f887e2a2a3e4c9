// Apache-2.0.
public import Codecs

/// `config.json` of a model folder, read with the spellings of transformers 4 and 5.
public struct ModelSettings: Sendable {
  private let root: JSONField

  /// The settings in `json`, the object of a `config.json`.
  public init(_ json: JSONValue) { root = JSONField(json, path: "") }

  /// Whether a key is there and not null.
  func isPresent(_ key: String) -> Bool { root[key].isPresent }

  func string(_ key: String, default fallback: String? = nil) throws(ModelError) -> String {
    if let fallback, !isPresent(key) { return fallback }
    return try read { () throws(JSONError) in try root[key].string() }
  }

  func bool(_ key: String, default fallback: Bool) throws(ModelError) -> Bool {
    guard isPresent(key) else { return fallback }
    return try read { () throws(JSONError) in try root[key].bool() }
  }

  /// A count of at least one.
  func count(_ key: String, default fallback: Int? = nil) throws(ModelError) -> Int {
    if let fallback, !isPresent(key) { return fallback }
    // Far beyond any model, and small enough that products of two cannot overflow.
    return try read { () throws(JSONError) in try root[key].integer(in: 1...1 << 28) }
  }

  /// Counts of at least one, at most a thousand of them; none where the key is absent.
  func counts(_ key: String) throws(ModelError) -> [Int] {
    guard isPresent(key) else { return [] }
    return try read { () throws(JSONError) in
      let items = try root[key].items()
      guard items.count <= 1000 else { throw root[key].unexpected("at most 1000 counts") }
      var all: [Int] = []
      for item in items { all.append(try item.integer(in: 1...1 << 28)) }
      return all
    }
  }

  /// A list of lists of counts, zero included; nil where the key is not there.
  func rows(_ key: String) throws(ModelError) -> [[Int]]? {
    guard isPresent(key) else { return nil }
    return try read { () throws(JSONError) in
      var rows: [[Int]] = []
      for row in try root[key].items() {
        var all: [Int] = []
        for item in try row.items() { all.append(try item.integer(in: 0...1 << 28)) }
        rows.append(all)
      }
      return rows
    }
  }

  func number(_ key: String, default fallback: Double? = nil) throws(ModelError) -> Double {
    if let fallback, !isPresent(key) { return fallback }
    return try read { () throws(JSONError) in try root[key].number() }
  }

  func strings(_ key: String) throws(ModelError) -> [String] {
    guard isPresent(key) else { return [] }
    return try read { () throws(JSONError) in
      var all: [String] = []
      for item in try root[key].items() { all.append(try item.string()) }
      return all
    }
  }

  /// The object under a key, nil where there is none.
  func section(_ key: String) -> ModelSettings? {
    root[key].value.flatMap { value in
      if case .object = value { ModelSettings(value) } else { nil }
    }
  }

  /// The value under a key as it is.
  func raw(_ key: String) -> JSONValue? { root[key].value }

  /// Refuses a key that is there with another value than `harmless`.
  func refuse(_ key: String, unless harmless: JSONValue? = nil) throws(ModelError) {
    guard let value = root[key].value, value != .null, value != harmless else { return }
    throw .unsupported(key: key, value: value.serialized())
  }

  /// Settings of other models that would change the mathematics of ours, each with the value that
  /// means its absence.
  private static let strangers: [(key: String, harmless: JSONValue?)] = [
    ("quantization_config", nil), ("is_encoder_decoder", .bool(false)), ("alibi", .bool(false)),
    ("attention_multiplier", .number(1)), ("embedding_multiplier", .number(1)),
    ("residual_multiplier", .number(1)), ("logits_scaling", .number(1)),
    ("logit_scale", .number(1)), ("final_logit_softcapping", nil),
    ("attn_logit_softcapping", nil), ("query_pre_attn_scalar", nil), ("clip_qkv", nil),
    ("qk_norm", .bool(false)), ("use_qk_norm", .bool(false)), ("num_experts", nil),
    ("num_local_experts", nil), ("rotary_pct", .number(1)), ("rope_interleaved", .bool(false)),
    ("no_rope_layers", .array([])), ("parallel_attn", .bool(false)),
    ("cross_layer_attention", .bool(false)), ("pruned_heads", .object([])),
    ("is_decoder", .bool(false)), ("add_cross_attention", .bool(false)),
  ]

  /// Refuses settings of other models by name.
  func refuseStrangers() throws(ModelError) {
    for (key, harmless) in Self.strangers {
      // 1 and 1.0 are the same number.
      if let harmless, harmless == .number(1), raw(key) == .integer(1) { continue }
      try refuse(key, unless: harmless)
    }
    let kinds = try strings("layer_types")
    if let kind = kinds.first(where: { $0 != "full_attention" && $0 != "sliding_attention" }) {
      throw .unsupported(key: "layer_types", value: "\"\(kind)\"")
    }
    let problem = try string("problem_type", default: "single_label_classification")
    guard problem == "single_label_classification" else {
      throw .unsupported(key: "problem_type", value: "\"\(problem)\"")
    }
  }

  private func read<Value>(
    _ body: () throws(JSONError) -> Value
  ) throws(ModelError) -> Value {
    do { return try body() } catch { throw .configuration("\(error)") }
  }
}
