// Apache-2.0.
import FineTuning
import ModelFiles
import Models
import Tensors
import Testing

@Suite("Logits")
struct GoldenLogitsTests {
  @Test("Equal those of transformers within 1e-4 of their range", arguments: Golden.names)
  func equal(name: String) throws {
    let golden = try Golden(name)
    let model = try LoadedModel(ModelRequest(directory: golden.directory))
    let outputs = try model.forward(
      golden.ids,
      lengths: golden.lengths,
      team: ThreadTeam(threads: 2)
    )
    #expect(outputs.map(\.name).sorted() == golden.outputs.sorted())
    for output in outputs {
      let wanted = try golden.floats(output.name)
      #expect(output.values.count == wanted.count)
      let range = (wanted.max() ?? 0) - (wanted.min() ?? 0)
      let worst = zip(output.values, wanted).map { abs($0 - $1) }.max() ?? .infinity
      #expect(worst <= 1e-4 * range, "\(output.name): \(worst) of \(range)")
    }
  }

  @Test("Ids outside the vocabulary, ragged rows and too long rows are refused")
  func hostile() throws {
    let golden = try Golden("llama")
    let model = try LoadedModel(ModelRequest(directory: golden.directory))
    let team = ThreadTeam(threads: 1)
    let wrong: [([[Int32]], [Int32])] = [
      ([[1, 96]], [2]), ([[-1]], [1]), ([[1, 2], [1]], [2, 1]), ([[1, 2]], [3]), ([[1, 2]], [0]),
      ([], []), ([[Int32](repeating: 1, count: 65)], [65]), ([[1, 2]], [2, 2]),
    ]
    for (ids, lengths) in wrong {
      #expect(throws: FineTuningError.self) {
        try model.forward(ids, lengths: lengths, team: team)
      }
    }
  }
}
