// Apache-2.0.
import Codecs
import Datasets
import Execution
import FineTuning
import Glibc
import GraphCompiler
import ModelFiles
import Models
import SharedRandomness
import Tensors
import TestSupport
import Testing

@Suite("Training on one machine")
struct LocalTrainingTests {
  private let examples = (0..<11).map { index in
    var stream = RandomStream(key: 7, purpose: .device, client: UInt32(index))
    let tokens = (0..<3 + index).map { _ in Int32(stream.uniform(below: 96)) }
    return Example(tokens: tokens, labels: tokens)
  }

  private func training(
    _ scheme: String,
    _ optimizer: Optimizer,
    accumulation: Int = 1,
    of name: String = "llama"
  ) throws -> LocalTraining {
    let model = try LoadedModel(
      ModelRequest(directory: Golden.folder(name), scheme: UpdateScheme(scheme))
    )
    let workspace = try TrainerWorkspace(model, team: ThreadTeam(threads: 2), perturbs: false)
    return try LocalTraining(
      GradientTrainer(workspace, optimizer: optimizer),
      examples: examples,
      settings: TrainingSettings(epochs: 3, batchSize: 2, accumulation: accumulation, seed: 5)
    )
  }

  private func run(_ training: LocalTraining, until last: Int? = nil) throws -> [Float] {
    var losses: [Float] = []
    let rate = RateSchedule(peak: 0.01, shape: .cosine, warmup: 2, steps: training.stepCount)
    while !training.isDone, training.progress.step < last ?? .max {
      losses.append(try training.step(rate: rate).loss)
    }
    return losses
  }

  @Test(
    "Goes on from a checkpoint to the same bits",
    arguments: [
      ("full", Optimizer.adamW(), 1), ("blocks:last=1", .momentum(), 2), ("full", .delta(), 1),
      ("lora:rank=2+head", .adamW(), 1),
    ]
  )
  func resume(scheme: String, optimizer: Optimizer, accumulation: Int) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/checkpoint.safetensors"
      let whole = try training(scheme, optimizer, accumulation: accumulation)
      let losses = try run(whole)
      #expect(losses.count == whole.stepCount)
      let first = try training(scheme, optimizer, accumulation: accumulation)
      let before = try run(first, until: 4)
      try first.saveCheckpoint(to: path, training: "a")
      let second = try training(scheme, optimizer, accumulation: accumulation)
      #expect(throws: FineTuningError.self) { try second.resume(from: path, training: "b") }
      try second.resume(from: path, training: "a")
      #expect(try before + run(second) == losses)
    }
  }

  @Test("Visits every example once an epoch, in an order that changes")
  func order() throws {
    let training = try training("head", .sgd())
    #expect(training.stepsPerEpoch == 6)
    #expect(training.stepCount == 18)
    let rate = RateSchedule(peak: 0)
    var tokens: [[Int]] = []
    for _ in 0..<2 {
      tokens.append(try (0..<6).map { _ in try training.step(rate: rate).tokens })
      #expect(training.isAtEndOfEpoch)
    }
    let all = examples.reduce(0) { $0 + $1.tokens.count }
    #expect(tokens.map { $0.reduce(0, +) } == [all, all])
    #expect(tokens[0] != tokens[1])
  }

  @Test(
    "Adapters added to the weights compute what they compute apart",
    arguments: [
      ("llama", "lora:rank=2,alpha=8"), ("gpt2", "lora:rank=2,alpha=8"), ("gpt2", "full"),
      ("gpt2", "lora:rank=2,targets=c_attn+weights:*mlp.c_fc.weight,fraction=1/4"),
    ]
  )
  func merged(name: String, scheme: String) throws {
    try withTemporaryFolder { folder in
      let trained = try training(scheme, .adamW(), of: name)
      _ = try run(trained, until: 6)
      let workspace = trained.trainer.workspace
      let apart = try trained.trainer.loss(Array(examples.prefix(4)), rows: 4)
      try workspace.export(to: "\(folder)/merged")
      let model = try LoadedModel(ModelRequest(directory: "\(folder)/merged"))
      #expect(model.unusedTensors.isEmpty)
      let plain = try TrainerWorkspace(model, team: ThreadTeam(threads: 1))
      let together = try GradientTrainer(plain, optimizer: .sgd())
        .loss(Array(examples.prefix(4)), rows: 4)
      #expect(abs(apart - together) <= 1e-5 * apart)
    }
  }

  @Test("Adapters and whole modules are written as PEFT names them, nothing else is")
  func adapter() throws {
    try withTemporaryFolder { folder in
      let workspace = try training("lora:rank=2,targets=q_proj/v_proj+head", .sgd()).trainer
        .workspace
      try workspace.exportAdapter(to: folder, base: "base")
      let file = try SafetensorsFile(path: "\(folder)/adapter_model.safetensors")
      let names = file.header.entries.map(\.name)
      #expect(names.count == 9)
      #expect(names.contains("base_model.model.lm_head.weight"))
      #expect(names.contains("base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight"))
      let json = try ModelFolder.json("\(folder)/adapter_config.json")
      #expect(json["target_modules"] == .array([.string("q_proj"), .string("v_proj")]))
      #expect(json["modules_to_save"] == .array([.string("lm_head")]))
      #expect(json["r"] == .integer(2))
      let last = try training("lora:rank=2,targets=q_proj,last=1", .sgd()).trainer.workspace
      try last.exportAdapter(to: folder, base: "base")
      let part = try ModelFolder.json("\(folder)/adapter_config.json")
      #expect(part["target_modules"] == .array([.string("model.layers.1.self_attn.q_proj")]))
      let partial = try training("lora:rank=2+weights:*up_proj.weight,fraction=1/2", .sgd())
      #expect(!partial.trainer.workspace.model.exportsAsAdapter)
    }
  }

  @Test("Checkpoints that hold matrices the other way round are written as they were")
  func transposed() throws {
    try withTemporaryFolder { folder in
      for scheme in ["full", "head", "bias"] {
        let workspace = try training(scheme, .sgd(), of: "gpt2").trainer.workspace
        try workspace.export(to: folder)
        let (old, new) = (workspace.model.checkpoint, try Checkpoint(directory: folder))
        #expect(old.digest == new.digest, "\(scheme)")
      }
      let workspace = try training("lora:rank=2,targets=c_attn/c_fc", .sgd(), of: "gpt2").trainer
        .workspace
      try workspace.exportAdapter(to: folder, base: "base")
      let json = try ModelFolder.json("\(folder)/adapter_config.json")
      #expect(json["fan_in_fan_out"] == .bool(true))
      #expect(json["target_modules"] == .array([.string("c_attn"), .string("c_fc")]))
      let file = try SafetensorsFile(path: "\(folder)/adapter_model.safetensors")
      let b = "base_model.model.transformer.h.1.attn.c_attn.lora_B.weight"
      #expect(try file.entry(b).shape == [96, 2])
    }
  }

  @Test("Step sizes rise, then fall to zero")
  func rates() {
    let linear = RateSchedule(peak: 1, shape: .linear, warmup: 2, steps: 6)
    #expect((1...7).map(linear.rate(of:)) == [0.5, 1, 1, 0.75, 0.5, 0.25, 0])
    let cosine = RateSchedule(peak: 2, shape: .cosine, steps: 4)
    #expect(cosine.rate(of: 1) == 2)
    #expect(abs(cosine.rate(of: 3) - 1) < 1e-6)
    #expect(RateSchedule(peak: 3).rate(of: 1000) == 3)
  }
}
