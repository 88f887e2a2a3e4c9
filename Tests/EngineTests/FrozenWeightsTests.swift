// Apache-2.0.
import Execution
import FederatedCore
import FineTuning
import GraphCompiler
import ModelFiles
import Models
import Tensors
import TestSupport
import Testing

@Suite("Frozen weights held in fewer bytes")
struct FrozenWeightsTests {
  private func model(
    _ name: String,
    _ frozen: FrozenWeights,
    scheme: String? = nil
  ) throws -> LoadedModel {
    try LoadedModel(
      ModelRequest(
        directory: Golden.folder(name),
        scheme: try scheme.map { try UpdateScheme($0) },
        frozen: frozen
      )
    )
  }

  private func forward(_ model: LoadedModel, _ golden: Golden) throws -> [Float] {
    let team = ThreadTeam(threads: 2)
    return try model.forward(golden.ids, lengths: golden.lengths, team: team)[0].values
  }

  /// The distance of outputs by the norm of those wanted.
  private func error(_ found: [Float], _ wanted: [Float]) -> Float {
    let square = zip(found, wanted).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    return (square / wanted.reduce(0) { $0 + $1 * $1 }).squareRoot()
  }

  @Test(
    "Outputs are within 5 % of those of the stored weights in one byte, within 2 % in two",
    arguments: Golden.names
  )
  func outputs(name: String) throws {
    let golden = try Golden(name)
    let wanted = try forward(model(name, .stored), golden)
    let byte = error(try forward(model(name, .int8), golden), wanted)
    let two = error(try forward(model(name, .bf16), golden), wanted)
    #expect(byte > 0 && byte < 0.05, "\(byte)")
    // What is stored in 16 bits stays.
    let isNarrow = ["llama-tied-bf16", "mistral-f16-sharded", "gpt2-classes"].contains(name)
    #expect(isNarrow ? two == 0 : two > 0 && two < 0.02, "\(two)")
  }

  @Test(
    "Gradients are those of the floats that narrow elements stand for",
    arguments: ["llama", "qwen2", "bert-classes", "mistral-f16-sharded", "gpt2"],
    [FrozenWeights.int8, .bf16]
  )
  func gradients(name: String, frozen: FrozenWeights) throws {
    let scheme = "lora:rank=2+bias:last=1"
    let adapters = name == "bert-classes" ? scheme : "lora:rank=2"
    let narrow = try model(name, frozen, scheme: adapters)
    let golden = try GoldenGradients(name)
    try withTemporaryFolder { folder in
      var writer = try SafetensorsWriter(
        path: "\(folder)/model.safetensors",
        tensors: narrow.checkpoint.tensors.map {
          TensorDescription(name: $0.name, type: .f32, shape: $0.shape)
        }
      )
      for tensor in writer.tensors {
        let floats = try #require(narrow.table.floats(of: tensor.name))
        let shape = try #require(narrow.table.shapes.first { $0.name == tensor.name }).shape
        let stored = narrow.asStored(tensor.name, floats, shape).values
        // SAFETY: floats have no padding.
        try unsafe writer.append(stored.span.bytes)
      }
      try writer.finish()
      let config = try ModelFolder.bytes("\(narrow.request.directory)/config.json", limit: 1 << 20)
      try ModelFolder.write(config, to: "\(folder)/config.json")
      let wide = try LoadedModel(
        ModelRequest(directory: folder, scheme: try UpdateScheme(adapters))
      )
      let made = try [narrow, wide].map { model in
        let workspace = try TrainerWorkspace(model, team: ThreadTeam(threads: 2), perturbs: false)
        let trainer = GradientTrainer(workspace, optimizer: .sgd())
        // A fresh B is zero, and so would be the gradient of A.
        _ = try trainer.step(golden.examples, rows: 3, rate: 0.5)
        return try trainer.gradients(golden.examples, rows: 3)
      }
      // On the tile unit scales of rows are multiplied to sums of integers; else to the bit.
      if frozen == .int8, KernelTable.current.instructionSet == .amx {
        #expect(abs(made[0].loss - made[1].loss) <= 1e-5 * abs(made[1].loss))
        // Biases of keys change no probability: their gradients are rounding and nothing else.
        for (tensor, wanted) in made[1].gradients where !tensor.hasSuffix("key.bias") {
          #expect(error(try #require(made[0].gradients[tensor]), wanted) < 1e-4, "\(tensor)")
        }
      } else {
        #expect(made[0].loss == made[1].loss)
        #expect(made[0].gradients == made[1].gradients)
      }
      #expect(made[0].gradients.values.contains { $0.contains { $0 != 0 } })
    }
  }

  @Test("The base has another digest, the adapters are as many, and memory is counted")
  func digest() throws {
    let models = try FrozenWeights.allCases.map { try model("llama", $0, scheme: "lora:rank=2") }
    #expect(Set(models.map(\.baseDigest)).count == 3)
    #expect(Set(models.map(\.parameterCount)).count == 1)
    let matrices = models[0].checkpoint.tensors.filter { $0.shape.count == 2 }
    let elements = matrices.reduce(0) { $0 + $1.shape.reduce(1, *) }
    #expect(models.map(\.table.frozenBytes)[0] == 0)
    #expect(models.map(\.table.frozenBytes)[1] == 2 * elements)
    let scales = matrices.reduce(0) { $0 + 4 * $1.shape[0] }
    let byte = models[2].table.frozenBytes
    #expect(byte >= elements + scales && byte <= elements + scales + 64 * matrices.count)
    let reports = try models.map {
      try $0.trainingReport(rows: 2, positions: 8, optimizer: .sgd(), threads: 1)
    }
    #expect(reports[2].plan.staticBytes - reports[0].plan.staticBytes == byte)
  }

  @Test("A run file says how everybody holds them", arguments: FrozenWeights.allCases)
  func run(frozen: FrozenWeights) throws {
    #expect(RunConfiguration.frozenWords.contains(frozen.rawValue))
    let text = """
      { model: "m", rounds: 1, algorithm: { name: "fedkseed" }, schedule: { clients: 1 },
        frozen: "\(frozen)" }
      """
    let request = try ModelRequest(RunConfiguration(json5: Array(text.utf8)))
    #expect(request.frozen == frozen)
  }

  @Test("A merged model has the stored matrices under its adapters")
  func merged() throws {
    let narrow = try model("llama", .int8, scheme: "lora:rank=2")
    let workspace = try TrainerWorkspace(narrow, team: ThreadTeam(threads: 1), perturbs: false)
    try withTemporaryFolder { folder in
      try workspace.export(to: folder)
      let again = try LoadedModel(ModelRequest(directory: folder))
      // Fresh adapters add nothing.
      let stored = try model("llama", .stored)
      for (name, _) in stored.table.shapes {
        #expect(again.table.floats(of: name) == stored.table.floats(of: name), "\(name)")
      }
    }
  }

  @Test("Rounding to two bytes is to the nearest, ties to even, and keeps what is no number")
  func rounding() throws {
    let pairs: [(UInt32, UInt32)] = [
      (0x3F80_0000, 0x3F80_0000), (0x3F80_8000, 0x3F80_0000), (0x3F81_8000, 0x3F82_0000),
      (0x3F80_8001, 0x3F81_0000), (0xBF80_8001, 0xBF81_0000), (0x7F80_0000, 0x7F80_0000),
      (0x7F80_0001, 0x7FC0_0000), (0x0000_7FFF, 0), (0x7F7F_FFFF, 0x7F80_0000),
    ]
    let floats = pairs.map { Float(bitPattern: $0.0) }
    let narrow = StoredTensor(shape: [1, pairs.count], floats: floats).held(.bf16)
    #expect(narrow.type == .bf16)
    #expect(narrow.floats.map(\.bitPattern) == pairs.map(\.1))
    let vector = StoredTensor(shape: [pairs.count], floats: floats)
    #expect(vector.held(.bf16).type == .f32)
    #expect(vector.held(.int8).type == .f32)
  }
}
