// Apache-2.0.
import Datasets
import Execution
import FineTuning
import GraphCompiler
import Models
import SharedRandomness
import Tensors
import TestSupport
import Testing

@Suite("Choosing a scheme under a budget")
struct SchemeSearchTests {
  /// Parts with known contributions, some of them negative.
  private static func drawn(_ seed: UInt64) -> (SchemeParts, Contributions) {
    var stream = RandomStream(key: seed, purpose: .partition)
    // Mostly worth something, or mostly harmful.
    let least = seed % 2 == 0 ? 2.0 : 7.0
    func number() -> Double { Double(stream.uniform(below: 1000)) / 100 - least }
    let matrices = (0..<6).map { index in
      SchemeParts.Matrix(
        name: "\(index).weight",
        depth: 3 - index / 2,
        count: 10 + Int(stream.uniform(below: 90)),
        ratios: ["1/4", "1"]
      )
    }
    let parts = SchemeParts(matrices: matrices, biasDepth: 3, trainsHead: true)
    let contributions = Contributions(
      biases: [0] + (0..<3).map { _ in number() },
      weights: matrices.map { _ in [number(), number()] }
    )
    return (parts, contributions)
  }

  /// Bytes by a rule that is no sum: the deepest part that learns keeps values alive.
  private static func bytes(_ choice: SchemeParts.Choice, _ parts: SchemeParts) -> Int {
    var sum = 20 + 3 * choice.depth
    var deepest = choice.depth
    for (matrix, level) in zip(parts.matrices, choice.levels) where level > 0 {
      sum += level == 1 ? matrix.count / 4 : matrix.count
      deepest = max(deepest, matrix.depth)
    }
    return sum + 15 * deepest
  }

  /// The best gain of all choices that fit.
  private static func exhaustive(
    _ parts: SchemeParts,
    _ contributions: Contributions,
    budget: Int
  ) -> Double? {
    var best: Double?
    for depth in 0...parts.biasDepth {
      for code in 0..<729 {
        var choice = parts.none
        choice.depth = depth
        var rest = code
        for index in choice.levels.indices {
          choice.levels[index] = rest % 3
          rest /= 3
        }
        let whole = parts.completed(choice)
        guard bytes(whole, parts) <= budget else { continue }
        best = max(best ?? -.infinity, contributions.gain(whole))
      }
    }
    return best
  }

  @Test("Finds what an exhaustive search finds, and the same every time", arguments: 0..<6)
  func exhaustive(seed: UInt64) throws {
    let (parts, contributions) = Self.drawn(seed)
    for budget in [10, 20, 60, 120, 200, 1000] {
      func found() throws -> SchemeSearch.Found? {
        var search = SchemeSearch(parts, contributions, budget: budget) {
          choice throws(FineTuningError) in Self.bytes(choice, parts)
        }
        return try search.run()
      }
      let best = try found()
      #expect(try best == found())
      let wanted = Self.exhaustive(parts, contributions, budget: budget)
      #expect((best == nil) == (wanted == nil))
      if let best, let wanted {
        #expect(best.bytes <= budget)
        #expect(abs(best.gain - wanted) < 1e-12, "\(budget): \(best.gain), \(wanted)")
      }
    }
  }

  @Test("The analysis gives back contributions that add up")
  func measured() throws {
    let (parts, wanted) = Self.drawn(77)
    var count = 0
    let found = try Contributions.measured(parts, score: { 5 + wanted.gain($0) }) { done, all in
      count += 1
      #expect(done == count && all == 16)
    }
    #expect(count == 16)
    #expect(abs(found.base - 5) < 1e-12)
    for (a, b) in zip(found.contributions.biases, wanted.biases) { #expect(abs(a - b) < 1e-12) }
    for (a, b) in zip(found.contributions.weights.joined(), wanted.weights.joined()) {
      #expect(abs(a - b) < 1e-12)
    }
  }

  @Test(
    "Every part of a model is a scheme that trains just that",
    arguments: [
      ("bert-classes", 13, 2), ("gpt2", 8, 2), ("llama", 14, 0), ("llama-classes", 14, 0),
    ]
  )
  func parts(name: String, matrices: Int, biases: Int) throws {
    let model = try LoadedModel(ModelRequest(directory: Golden.folder(name)))
    let parts = try SchemeParts(model, ratios: ["1/4", "1"])
    #expect(parts.matrices.count == matrices)
    #expect(parts.biasDepth == biases)
    #expect(parts.trainsHead == name.hasSuffix("classes"))
    let none = try parts.scheme(parts.none)
    #expect(parts.trainsHead ? none?.description == "head" : none == nil)
    for (index, matrix) in parts.matrices.enumerated() {
      var choice = parts.none
      choice.levels[index] = 1
      let scheme = try #require(try parts.scheme(parts.completed(choice)))
      let opened = try LoadedModel(ModelRequest(directory: Golden.folder(name), scheme: scheme))
      let trainable = opened.table.trainable.map(\.name)
      #expect(opened.selection.fractions.keys.sorted() == [matrix.name])
      #expect(trainable.contains { $0.hasSuffix(".bias") } == (biases > 0))
      #expect(trainable.allSatisfy { !$0.contains("embed") && !$0.contains("wte") })
    }
    let near = try SchemeParts(model, ratios: ["1"], last: 1)
    #expect(near.matrices.allSatisfy { $0.depth <= 1 })
    #expect(near.biasDepth == min(1, biases))
  }

  @Test("Convolutional nets have such parts too: depthwise layers whole, the others in part")
  func images() throws {
    let folder = SourceTree.golden("vision/tiny")
    let parts = try SchemeParts(
      LoadedModel(ModelRequest(directory: folder)),
      ratios: ["1/4", "1"]
    )
    #expect(parts.matrices.count == 12)
    #expect(parts.biasDepth == 4)
    for (index, matrix) in parts.matrices.enumerated() {
      #expect((matrix.ratios == ["1"]) == matrix.name.contains("depthwise"))
      var choice = parts.none
      choice.levels[index] = matrix.ratios.count
      let scheme = try #require(try parts.scheme(parts.completed(choice)))
      let opened = try LoadedModel(ModelRequest(directory: folder, scheme: scheme))
      let report = try opened.trainingReport(rows: 2, positions: 1, optimizer: .sgd(), threads: 1)
      #expect(report.plan.backwardFlops > 0)
      #expect(opened.selection.contains(matrix.name))
    }
  }

  @Test("Of a tiny model the choice fits by its plan, and more memory is never worth less")
  func model() throws {
    let model = try LoadedModel(ModelRequest(directory: Golden.folder("bert-classes")))
    let parts = try SchemeParts(model, ratios: ["1"])
    let examples = (0..<12).map { index in
      var stream = RandomStream(key: 4, purpose: .device, client: UInt32(index))
      let tokens = (0..<6).map { _ in Int32(3 + stream.uniform(below: 90)) }
      return Example(tokens: tokens, labels: tokens, classIndex: Int32(index % 5))
    }
    let settings = ContributionAnalysis.Settings(
      steps: 3,
      batchSize: 4,
      optimizer: .sgd(),
      rate: 0.05
    )
    let analysis = ContributionAnalysis(model, team: ThreadTeam(threads: 1), settings: settings)
    let heldOut = ClientData(Dataset(examples: examples, skipped: []), batchSize: 4)
    func score(_ choice: SchemeParts.Choice) throws -> Double {
      try analysis.score(parts.scheme(choice), training: examples, heldOut: heldOut)
    }
    let (contributions, base) = try Contributions.measured(parts, score: score)
    #expect(try score(parts.none) == base)
    func bytes(_ choice: SchemeParts.Choice) throws(FineTuningError) -> Int {
      try analysis.plannedBytes(try parts.scheme(choice), positions: 6)
    }
    let least = try bytes(parts.none)
    let report = try LoadedModel(
      ModelRequest(directory: Golden.folder("bert-classes"), scheme: UpdateScheme("head"))
    ).trainingReport(rows: 4, positions: 16, optimizer: .sgd(), threads: 1)
    #expect(least == report.plan.totalBytes)
    var last = -Double.infinity
    for budget in [least, least + 8192, least + 24_576, least + 65_536, least * 10] {
      var search = SchemeSearch(parts, contributions, budget: budget, memory: bytes)
      let found = try #require(try search.run(generations: 4))
      #expect(found.bytes <= budget)
      #expect(try bytes(found.choice) == found.bytes)
      #expect(found.gain >= last)
      last = found.gain
    }
    #expect(last > 0)
    var none = SchemeSearch(parts, contributions, budget: least - 1, memory: bytes)
    #expect(try none.run() == nil)
  }
}
