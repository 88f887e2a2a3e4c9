// Apache-2.0.
import Datasets
import Execution
import FineTuning
import GraphCompiler
import ModelFiles
import Models
import Tensors
import Testing

/// What torch.autograd makes of a tiny model of `Tests/Golden/logits` and one batch.
struct GoldenGradients {
  static let names = Golden.names.filter { $0 != "bert" }

  let model: LoadedModel
  let examples: [Example]
  let parameters: [String]
  private let expected: SafetensorsFile

  init(_ name: String, scheme: String = "full") throws {
    let folder = Golden.folder(name)
    let path = folder.split(separator: "/").dropLast(2).joined(separator: "/")
    let file = try SafetensorsFile(path: "/\(path)/gradients/\(name).safetensors")
    expected = file
    model = try LoadedModel(ModelRequest(directory: folder, scheme: UpdateScheme(scheme)))
    parameters = file.header.entries.map(\.name).filter { $0.hasPrefix("grad.") }
      .map { String($0.dropFirst(5)) }
    func integers(_ name: String) throws -> [Int32] {
      try Self.floats(file, name).map { Int32($0) }
    }
    let (ids, lengths, labels) = (
      try integers("input_ids"), try integers("lengths"), try integers("labels")
    )
    let width = ids.count / lengths.count
    examples = lengths.enumerated().map { row, length in
      let range = row * width..<row * width + Int(length)
      guard labels.count == ids.count else {
        let tokens = Array(ids[range])
        return Example(tokens: tokens, labels: tokens, classIndex: labels[row])
      }
      return Example(tokens: Array(ids[range]), labels: Array(labels[range]))
    }
  }

  func floats(_ name: String) throws -> [Float] { try Self.floats(expected, name) }

  private static func floats(_ file: SafetensorsFile, _ name: String) throws -> [Float] {
    let entry = try file.entry(name)
    // SAFETY: F32 elements, copied while the file is mapped.
    return unsafe file.bytes(of: entry).withMemoryRebound(to: Float.self) { unsafe Array($0) }
  }

  func trainer(
    _ optimizer: Optimizer = .sgd(),
    clipping: Clipping = .none,
    threads: Int = 2,
    passes: TrainingPasses = .all
  ) throws -> GradientTrainer {
    let workspace = try TrainerWorkspace(model, team: ThreadTeam(threads: threads))
    return GradientTrainer(workspace, optimizer: optimizer, clipping: clipping, passes: passes)
  }
}

@Suite("Gradients of whole models")
struct GoldenGradientTests {
  @Test(
    "Equal those of torch.autograd within 1e-4, every parameter",
    arguments: GoldenGradients.names
  )
  func equal(name: String) throws {
    let golden = try GoldenGradients(name)
    let (loss, gradients) = try golden.trainer().gradients(golden.examples, rows: 3)
    let wanted = try golden.floats("loss")[0]
    #expect(abs(loss - wanted) <= 1e-5 * wanted)
    #expect(gradients.keys.sorted() == golden.parameters.sorted())
    let shapes = Dictionary(
      uniqueKeysWithValues: golden.model.table.shapes.map { ($0.name, $0.shape) }
    )
    for parameter in golden.parameters {
      let wanted = try golden.floats("grad.\(parameter)")
      let own = try #require(gradients[parameter])
      let found = golden.model.asStored(parameter, own, try #require(shapes[parameter])).values
      let norm = wanted.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let distance = zip(found, wanted).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      // The bias of keys changes no probability: its gradient is zero but for rounding.
      #expect(distance.squareRoot() <= 1e-4 * max(norm, 1e-2), "\(parameter)")
    }
  }

  @Test(
    "20 steps of SGD and of AdamW lose what PyTorch's do within 1e-3",
    arguments: GoldenGradients.names
  )
  func curves(name: String) throws {
    let golden = try GoldenGradients(name)
    for (curve, optimizer, rate) in [
      ("sgd", Optimizer.sgd(), Float(0.05)), ("adamw", .adamW(), 1e-3),
    ] {
      let trainer = try golden.trainer(optimizer)
      for (step, wanted) in try golden.floats(curve).enumerated() {
        let loss = try trainer.step(golden.examples, rows: 3, rate: rate)
        #expect(abs(loss - wanted) <= 1e-3 * wanted, "\(curve) \(step): \(loss), \(wanted)")
      }
    }
  }
}
