// Apache-2.0.
import Execution
import FineTuning
import GraphCompiler
import Models
import SharedRandomness
import Tensors
import Testing

@Suite("Update schemes")
struct UpdateSchemeTests {
  private func names(_ scheme: String, of model: String) throws -> [String] {
    let request = ModelRequest(
      directory: Golden.folder(model),
      scheme: try UpdateScheme(scheme)
    )
    return try LoadedModel(request).table.trainable.map(\.name)
  }

  @Test("Choose what they say")
  func choose() throws {
    #expect(try names("head", of: "bert-classes") == ["classifier.bias", "classifier.weight"])
    #expect(try names("head", of: "llama") == ["lm_head.weight"])
    #expect(try names("head", of: "qwen2") == ["model.embed_tokens.weight"])
    let full = try names("full", of: "bert-classes")
    #expect(full.count == 41)
    let last = try names("blocks:last=1", of: "bert-classes")
    #expect(last == full.filter { $0.contains("layer.1.") })
    let biases = try names("bias:last=1+head", of: "bert-classes")
    let wanted = full.filter { $0.contains("layer.1.") && $0.hasSuffix("bias") }
    #expect(biases == wanted + ["classifier.bias", "classifier.weight"])
    #expect(try names("bias", of: "bert-classes") == full.filter { $0.hasSuffix("bias") })
    #expect(
      try names("weights:*q_proj.weight,last=1", of: "llama")
        == ["model.layers.1.self_attn.q_proj.weight"]
    )
    #expect(
      try names("lora:rank=2,targets=q_proj/v_proj,last=1", of: "llama") == [
        "model.layers.1.self_attn.q_proj.lora_A.weight",
        "model.layers.1.self_attn.q_proj.lora_B.weight",
        "model.layers.1.self_attn.v_proj.lora_A.weight",
        "model.layers.1.self_attn.v_proj.lora_B.weight",
      ]
    )
    #expect(try names("lora:rank=2", of: "llama").count == 2 * 2 * 7)
  }

  @Test("A whole tensor includes any part of it, whatever the order")
  func union() throws {
    for scheme in [
      "weights:*q_proj.weight,fraction=1/4+weights:*q_proj.weight,fraction=0.5",
      "weights:*q_proj.weight,fraction=0.5+weights:*q_proj.weight,fraction=1/4",
    ] {
      let request = ModelRequest(
        directory: Golden.folder("llama"),
        scheme: try UpdateScheme(scheme)
      )
      #expect(Set(try LoadedModel(request).selection.fractions.values) == [16])
      let whole = ModelRequest(
        directory: Golden.folder("llama"),
        scheme: try UpdateScheme("\(scheme)+full")
      )
      #expect(try LoadedModel(whole).selection.fractions.isEmpty)
    }
  }

  @Test(
    "What cannot be read or fits nothing is refused",
    arguments: [
      "", "all", "full+", "blocks", "blocks:last=0", "blocks:last=x", "bias:first=1", "weights",
      "weights:a,fraction=0", "weights:a,fraction=2", "weights:a,fraction=1/0", "lora",
      "lora:rank=-1",
      "lora:rank=2+lora:rank=3", "head:all", "bias", "weights:nothing.*",
      "lora:rank=2,targets=nothing",
    ]
  )
  func refused(text: String) throws {
    let error = #expect(throws: FineTuningError.self) { try names(text, of: "llama") }
    #expect("\(try #require(error))".contains("scheme"))
  }

  @Test("A fraction trains with the first columns of the whole gradient")
  func fraction() throws {
    let golden = try GoldenGradients("llama")
    let (_, whole) = try golden.trainer().gradients(golden.examples, rows: 3)
    let part = try GoldenGradients("llama", scheme: "weights:*up_proj.weight,fraction=1/4")
    let (_, made) = try part.trainer().gradients(part.examples, rows: 3)
    #expect(made.count == 2)
    for (name, values) in made {
      let wanted = try #require(whole[name])
      let columns = 8
      #expect(values.count == wanted.count / 4)
      let cut = values.indices.map { wanted[$0 / columns * 32 + $0 % columns] }
      #expect(values == cut)
    }
  }

  @Test("Fresh adapters change no loss; training them lowers it and leaves the rest alone")
  func adapters() throws {
    let whole = try GoldenGradients("llama")
    let golden = try GoldenGradients("llama", scheme: "lora:rank=4,alpha=8")
    let trainer = try golden.trainer(.adamW())
    let first = try trainer.step(golden.examples, rows: 3, rate: 0.01)
    #expect(first == (try whole.trainer().gradients(whole.examples, rows: 3).loss))
    var last = first
    for _ in 0..<20 { last = try trainer.step(golden.examples, rows: 3, rate: 0.01) }
    #expect(last < 0.8 * first)
  }

  @Test(
    "A frozen prefix computed once changes no loss",
    arguments: ["head", "blocks:last=1", "bias:last=1+head", "lora:rank=2,last=1"]
  )
  func hoisted(scheme: String) throws {
    let golden = try GoldenGradients("bert-classes", scheme: scheme)
    var curves: [[Float]] = []
    for hoists in [true, false] {
      let workspace = try TrainerWorkspace(
        golden.model,
        team: ThreadTeam(threads: 2),
        hoistsFrozenPrefix: hoists
      )
      #expect(workspace.hoists == hoists)
      let trainer = GradientTrainer(workspace, optimizer: .sgd())
      curves.append(
        try (0..<5).map { _ in try trainer.step(golden.examples, rows: 3, rate: 0.05) }
      )
    }
    #expect(curves[0] == curves[1])
    #expect(curves[0][4] < curves[0][0])
  }

  @Test("Two halves of a batch accumulated move weights as the whole batch")
  func accumulated() throws {
    for optimizer in [Optimizer.sgd(), .adamW()] {
      let golden = try GoldenGradients("llama")
      let whole = try golden.trainer(optimizer, clipping: .global(1))
      let parts = try golden.trainer(optimizer, clipping: .global(1))
      let batches = [[golden.examples[0]], Array(golden.examples[1...])]
      for _ in 0..<5 {
        let one = try whole.step(golden.examples, rows: 3, rate: 0.01)
        let other = try parts.step(accumulating: batches, rows: 2, rate: 0.01)
        #expect(abs(one - other) <= 1e-4 * one)
      }
    }
  }
}
