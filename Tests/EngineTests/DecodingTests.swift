// Apache-2.0.
import FineTuning
import GraphCompiler
import Models
import SharedRandomness
import Tensors
import Testing

@Suite("Decoding with kept keys and values")
struct DecodingTests {
  static let names = ["llama", "llama-linear-rope-biases", "mistral-f16-sharded", "qwen2", "gpt2"]

  private func workspace(_ name: String, threads: Int = 2) throws -> TrainerWorkspace {
    let model = try LoadedModel(ModelRequest(directory: Golden.folder(name)))
    return try TrainerWorkspace(model, team: ThreadTeam(threads: threads), perturbs: false)
  }

  @Test("Gives the logits of the whole sequence, however it is read", arguments: names)
  func logits(name: String) throws {
    let workspace = try workspace(name)
    var stream = RandomStream(key: 3, purpose: .device)
    let rows = (0..<2).map { _ in (0..<12).map { _ in Int32(stream.uniform(below: 96)) } }
    let decoding = try Decoding(workspace, sequences: 2, capacity: 12)
    // Ragged, one by one, several behind a past, and nothing at all for one of them.
    for counts in [(5, 2), (1, 1), (1, 4), (0, 3), (3, 1), (2, 1)] {
      let before = decoding.counts
      let new = [counts.0, counts.1].enumerated().map { row, count in
        Array(rows[row][before[row]..<before[row] + count])
      }
      let found = try decoding.read(new)
      for row in 0..<2 where !new[row].isEmpty {
        let count = decoding.counts[row]
        let wanted = try workspace.model.forward(
          [Array(rows[row][..<count])],
          lengths: [Int32(count)],
          team: ThreadTeam(threads: 1)
        )[0].values.suffix(found[row].count)
        for (a, b) in zip(found[row], wanted) { #expect(abs(a - b) <= 1e-4 * max(1, abs(b))) }
      }
    }
    #expect(decoding.counts == [12, 12])
    #expect(throws: FineTuningError.self) { try decoding.read([[1], []]) }
  }

  @Test("A batch is as its rows alone, for any number of threads; a text ends at its end token")
  func batch() throws {
    let prompts: [[Int32]] = [[1, 5, 9, 20], [7], [4, 4]]
    let together = try workspace("llama").generate(prompts, maximumCount: 9)
    #expect(together.map(\.count) == [9, 9, 9])
    for (prompt, wanted) in zip(prompts, together) {
      let alone = try workspace("llama", threads: 1).generate([prompt], maximumCount: 9)
      #expect(alone == [wanted])
    }
    let end = together[0][3]
    let ended = try workspace("llama").generate(prompts, maximumCount: 9, ends: [end])
    for (row, whole) in zip(ended, together) {
      let place = whole.firstIndex(of: end).map { $0 + 1 } ?? 9
      #expect(row == Array(whole[..<place]))
    }
  }

  @Test("What is no prompt of a decoder is refused")
  func refused() throws {
    #expect(throws: FineTuningError.self) {
      try workspace("llama").generate([[1], []], maximumCount: 2)
    }
    #expect(throws: FineTuningError.self) {
      try workspace("llama").generate([[96]], maximumCount: 2)
    }
    #expect(throws: FineTuningError.self) {
      try workspace("bert-classes").generate([[1]], maximumCount: 2)
    }
  }

  @Test("The executor computes what the reference defines")
  func reference() throws {
    var builder = GraphBuilder()
    let attention = Attention(heads: 2, keyHeads: 1, headDimension: 4, isCausal: true)
    let q = builder.input("q", ValueType([6, 8]))
    let k = builder.input("k", ValueType([6, 4]))
    let v = builder.input("v", ValueType([6, 4]))
    let lengths = builder.input("lengths", ValueType([2], .integer))
    let past = builder.input("past", ValueType([2], .integer))
    let keys = builder.state("keys", ValueType([10, 4]))
    let values = builder.state("values", ValueType([10, 4]))
    let y = try builder.apply(
      CachedAttention(attention, capacity: 5),
      [q, k, v, lengths, past, keys, values]
    )
    let graph = builder.finish(outputs: [("y", y[0])])
    var stream = RandomStream(key: 1, purpose: .device)
    func numbers(_ count: Int) -> [Double] {
      (0..<count).map { _ in Double(Int32(bitPattern: stream.next32()) >> 8) * 0x1p-23 }
    }
    var (parameters, states) = ([String: [Double]](), ["keys": numbers(40), "values": numbers(40)])
    let before = states
    let inputs = [
      "q": numbers(48), "k": numbers(24), "v": numbers(24), "lengths": [3, 1], "past": [2, 0],
    ]
    let made = try ReferenceInterpreter(graph).run(
      inputs: inputs,
      parameters: &parameters,
      states: &states
    )
    // The second sequence sees its one key alone, and its padding is zero.
    let (row, wanted) = (made["y"]?[24..<28] ?? [], inputs["v"]?[12..<16] ?? [])
    for (a, b) in zip(row, wanted) { #expect(abs(a - b) < 1e-12) }
    #expect(made["y"]?[32...].allSatisfy { $0 == 0 } == true)
    #expect(states["keys"]?[..<8] == before["keys"]?[..<8])
    #expect(states["keys"]?[8..<20] == inputs["k"]?[..<12])
    #expect(states["values"]?[20..<24] == inputs["v"]?[12..<16])
  }
}

@Suite("Sampling")
struct SamplingTests {
  @Test("Without temperature the likeliest token is taken, the first of several")
  func greedy() {
    #expect(Sampling.greedy.choose([0, 3, 1, 3], sequence: 0, step: 0) == 1)
  }

  @Test("Tokens are drawn by their probability, within the likeliest that make up p")
  func draws() {
    let logits: [Float] = [0, 2, 1, -40]
    func shares(_ sampling: Sampling) -> [Double] {
      var counts = [0, 0, 0, 0]
      for step in 0..<4000 {
        counts[Int(sampling.choose(logits, sequence: 0, step: step))] += 1
      }
      return counts.map { Double($0) / 4000 }
    }
    let all = shares(Sampling(temperature: 1, seed: 1))
    for (found, wanted) in zip(all, [0.0900, 0.6652, 0.2447, 0]) {
      #expect(abs(found - wanted) < 0.03)
    }
    let some = shares(Sampling(temperature: 1, topP: 0.7, seed: 1))
    #expect(some[0] == 0 && some[2] > 0.2)
    #expect(shares(Sampling(temperature: 1, topP: 0.5, seed: 1)) == [0, 1, 0, 0])
    let few = shares(Sampling(temperature: 1, topK: 2, seed: 1))
    #expect(few[0] == 0 && few[3] == 0 && few[2] > 0.2)
    #expect(shares(Sampling(temperature: 1, topK: 1, seed: 1)) == [0, 1, 0, 0])
    let cold = shares(Sampling(temperature: 0.1, seed: 1))
    #expect(cold[1] > 0.99)
  }
}
