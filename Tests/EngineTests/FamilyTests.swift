// Apache-2.0.
import Codecs
import GraphCompiler
import ModelFiles
import Models
import Testing

@Suite("Families")
struct FamilyTests {
  /// The configuration of a golden model with some keys replaced.
  private func open(
    _ name: String,
    _ changes: [(String, JSONValue)],
    hasTensor: (String) -> Bool = { _ in false }
  ) throws -> any ModelFamily {
    let json = try ModelFolder.json("\(Golden.folder(name))/config.json")
    guard case .object(var members) = json else {
      Issue.record("config.json is no object")
      return try ModelFamilies.open(json, hasTensor: hasTensor)
    }
    for (key, value) in changes {
      members.removeAll { $0.key == key }
      members.append(.init(key, value))
    }
    return try ModelFamilies.open(.object(members), hasTensor: hasTensor)
  }

  private func names(_ family: any ModelFamily, head: ModelHead) throws -> Set<String> {
    let request = GraphRequest(sequences: 1, positions: 2, head: head, hasLoss: true)
    return try Set(family.graph(request).parameters.map(\.name))
  }

  @Test(
    "A setting that changes the mathematics is refused by its name",
    arguments: [
      ("llama", "hidden_act", .string("relu")), ("llama", "partial_rotary_factor", .number(0.5)),
      ("llama", "final_logit_softcapping", .number(30)), ("qwen2", "num_experts", .integer(8)),
      ("llama", "quantization_config", .object([.init("bits", .integer(4))])),
      ("mistral-f16-sharded", "logits_scaling", .number(8)), ("llama", "alibi", .bool(true)),
      ("qwen2", "layer_types", .array([.string("linear_attention")])),
      ("bert", "hidden_act", .string("mish")),
      ("bert", "position_embedding_type", .string("relative_key")),
      ("bert", "is_decoder", .bool(true)), ("bert", "add_cross_attention", .bool(true)),
      ("bert", "problem_type", .string("regression")),
    ] as [(String, String, JSONValue)]
  )
  func refused(name: String, key: String, value: JSONValue) throws {
    let error = #expect(throws: ModelError.self) { try open(name, [(key, value)]) }
    guard case .unsupported(key, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.description.contains(key) == true)
  }

  @Test("Settings that mean nothing are passed over")
  func harmless() throws {
    let harmless: [(String, JSONValue)] = [
      ("logits_scaling", .integer(1)), ("residual_multiplier", .number(1)), ("alibi", .bool(false)),
      ("attention_dropout", .number(0.5)), ("use_cache", .bool(true)), ("num_experts", .null),
    ]
    #expect(throws: Never.self) { try open("llama", harmless) }
  }

  @Test(
    "Rope scaling other than linear and llama3 is refused in both spellings",
    arguments: ["dynamic", "yarn", "longrope", "mrope"]
  )
  func ropes(kind: String) throws {
    let old: JSONValue = .object([.init("type", .string(kind)), .init("factor", .number(2))])
    let new: JSONValue = .object([
      .init("rope_type", .string(kind)), .init("rope_theta", .number(10_000)),
    ])
    for (key, value) in [("rope_scaling", old), ("rope_parameters", new)] {
      let error = #expect(throws: ModelError.self) {
        try open("llama", [("rope_parameters", .null), (key, value)])
      }
      #expect(error == .unsupported(key: "rope_type", value: "\"\(kind)\""))
    }
  }

  @Test("Configurations that mean nothing are refused")
  func nonsense() {
    let wrong: [(String, [(String, JSONValue)])] = [
      ("llama", [("model_type", .string("gptj"))]), ("llama", [("hidden_size", .integer(0))]),
      ("llama", [("num_key_value_heads", .integer(3))]), ("llama", [("vocab_size", .string("a"))]),
      ("llama", [("head_dim", .integer(7))]), ("bert", [("num_attention_heads", .integer(5))]),
      ("gpt2", [("n_head", .integer(5))]), ("gpt2", [("scale_attn_weights", .bool(false))]),
      ("bert", [("num_hidden_layers", .number(1.5))]), ("llama", [("rope_theta", .integer(-1))]),
    ]
    for (name, changes) in wrong {
      let changes = changes + (changes[0].0 == "rope_theta" ? [("rope_parameters", .null)] : [])
      #expect(throws: ModelError.self, "\(changes)") { try open(name, changes) }
    }
  }

  @Test("A sliding window bounds the positions only where the family slides")
  func windows() throws {
    let window: [(String, JSONValue)] = [("sliding_window", .integer(8))]
    #expect(try open("mistral-f16-sharded", window).maximumPositions == 8)
    #expect(try open("qwen2", window).maximumPositions == 64)
    let sliding = window + [("use_sliding_window", .bool(true))]
    #expect(try open("qwen2", sliding).maximumPositions == 8)
    #expect(try open("llama", window).maximumPositions == 64)
  }

  @Test("Weights are found with and without the prefix of a head, and under their first names")
  func prefixes() throws {
    let prefixed = try names(open("llama", []), head: .languageModel)
    #expect(prefixed.contains("model.layers.0.mlp.up_proj.weight"))
    #expect(prefixed.contains("lm_head.weight"))
    let bare = try names(
      open("llama", []) { $0 == "embed_tokens.weight" },
      head: .languageModel
    )
    #expect(bare.contains("layers.0.mlp.up_proj.weight") && !bare.contains("lm_head.weight"))
    let old = try names(
      open("bert", []) { $0 == "bert.embeddings.LayerNorm.gamma" },
      head: .classifier(classes: 2)
    )
    #expect(old.contains("bert.encoder.layer.1.output.LayerNorm.beta"))
    #expect(old.contains("classifier.bias"))
    #expect(
      try names(open("bert", []) { $0 == "embeddings.word_embeddings.weight" }, head: .hidden)
        .contains("embeddings.LayerNorm.weight")
    )
  }
}
