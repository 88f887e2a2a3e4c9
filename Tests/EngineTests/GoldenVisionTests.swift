// Apache-2.0.
import Datasets
import Execution
import FineTuning
import GraphCompiler
import Models
import Tensors
import Testing

@Suite("Convolutional networks")
struct GoldenVisionTests {
  @Test("Give PyTorch's logits, norms folded", arguments: GoldenVision.names)
  func logits(name: String) throws {
    let golden = try GoldenVision(name)
    let team = ThreadTeam(threads: 2)
    let outputs = try golden.model.forward(values: golden.examples.map(\.values), team: team)
    let wanted = try golden.floats("logits")
    #expect(outputs.map(\.name) == ["logits"])
    #expect(outputs[0].shape == [3, 5])
    for (found, wanted) in zip(outputs[0].values, wanted) {
      #expect(abs(found - wanted) <= 2e-5 * max(1, abs(wanted)), "\(found), \(wanted)")
    }
    #expect(golden.model.newTensors.isEmpty && golden.model.unusedTensors.isEmpty)
  }

  @Test("Have torch.autograd's gradients within 1e-4", arguments: GoldenVision.names)
  func gradients(name: String) throws {
    let golden = try GoldenVision(name)
    let (loss, gradients) = try golden.trainer().gradients(golden.examples, rows: 3)
    let wanted = try golden.floats("loss")[0]
    #expect(abs(loss - wanted) <= 1e-5 * wanted)
    #expect(gradients.keys.sorted() == golden.model.table.shapes.map(\.name).sorted())
    for (parameter, found) in gradients {
      let wanted = try golden.floats("grad.\(parameter)")
      let step = max(1, (found.count + 47) / 48)
      let isWhole = wanted.count == found.count
      let sampled = isWhole ? found : stride(from: 0, to: found.count, by: step).map { found[$0] }
      #expect(sampled.count == wanted.count)
      let norm = isWhole ? Self.norm(wanted) : try golden.floats("norm.\(parameter)")[0]
      #expect(abs(Self.norm(found) - norm) <= 1e-4 * norm, "\(parameter)")
      let distance = Self.norm(zip(sampled, wanted).map { $0 - $1 })
      #expect(distance <= 1e-4 * max(Self.norm(wanted), 1e-2 * norm), "\(parameter)")
    }
  }

  @Test("Lose what PyTorch's do in 20 steps within 1e-3", arguments: GoldenVision.names)
  func curves(name: String) throws {
    let golden = try GoldenVision(name)
    for (curve, optimizer, rate) in [
      ("sgd", Optimizer.sgd(), Float(0.002)), ("adamw", .adamW(), 1e-3),
    ] {
      let trainer = try golden.trainer(optimizer)
      for (step, wanted) in try golden.floats(curve).enumerated() {
        let loss = try trainer.step(golden.examples, rows: 3, rate: rate)
        #expect(
          abs(loss - wanted) <= 1e-3 * max(wanted, 1e-2),
          "\(curve) \(step): \(loss), \(wanted)"
        )
      }
    }
  }

  private static func norm(_ values: [Float]) -> Float {
    Float(values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot())
  }
}
