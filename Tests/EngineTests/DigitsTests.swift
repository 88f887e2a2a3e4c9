// Apache-2.0.
import Codecs
import Datasets
import FineTuning
import GraphCompiler
import ModelFiles
import Tensors
import TestSupport
import Testing

@Suite("Models of the bundled digits")
struct DigitsTests {
  private static func examples(_ name: String) throws -> [Example] {
    let reader = try DatasetReader(
      tokenizer: nil,
      format: "auto",
      template: "auto",
      maximumLength: 2,
      labels: (0..<10).map { "\($0)" },
      field: nil,
      limit: .max
    )
    return try reader.read(path: "\(SourceTree.root)/Simulations/Data/digits/\(name).safetensors")
      .examples
  }

  private static func trainer(_ name: String) throws -> GradientTrainer {
    let request = ModelRequest(
      directory: "\(SourceTree.root)/Models/digits-\(name)",
      trainable: ParameterSelection(["*"])
    )
    let workspace = try TrainerWorkspace(LoadedModel(request), team: ThreadTeam(threads: 1))
    return GradientTrainer(workspace, optimizer: .sgd())
  }

  @Test("Lose, differentiate and step as PyTorch does", arguments: ["logistic", "mlp"])
  func golden(name: String) throws {
    let path = SourceTree.golden("digits/\(name).json")
    let golden = JSONField(try ModelFolder.json(path), path: name)
    let batch = Array(try Self.examples("test").prefix(16))
    let trainer = try Self.trainer(name)
    let (loss, gradients) = try trainer.gradients(batch, rows: 16)
    #expect(abs(Double(loss) - (try golden["loss"].number())) < 1e-6)
    for (parameter, found) in gradients {
      let wanted = try golden["gradients"][parameter].items().map { try $0.number() }
      #expect(found.count == wanted.count)
      let scale = wanted.reduce(1e-3) { max($0, $1.magnitude) }
      for (one, other) in zip(found, wanted) {
        #expect(abs(Double(one) - other) < 1e-5 * scale, "\(parameter)")
      }
    }
    #expect(gradients.count == (name == "mlp" ? 4 : 2))
    for _ in 0..<10 { _ = try trainer.step(batch, rows: 16, rate: 0.1) }
    let after = try trainer.gradients(batch, rows: 16).loss
    #expect(abs(Double(after) - (try golden["after"].number())) < 1e-5)
  }

  @Test("Read every image, in the order of the file")
  func data() throws {
    let (train, test) = (try Self.examples("train"), try Self.examples("test"))
    #expect(train.count == 1442 && test.count == 355)
    for example in train + test {
      #expect(example.values.count == 64)
      #expect(example.values.allSatisfy { (0...1).contains($0) })
    }
    for label in Int32(0)..<10 {
      let (many, few) = (
        train.count { $0.classIndex == label }, test.count { $0.classIndex == label }
      )
      #expect(few == (many + few) / 5)
    }
  }
}
