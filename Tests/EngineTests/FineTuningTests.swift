// Apache-2.0.
import Codecs
import Datasets
import FederatedCore
import FineTuning
import Glibc
import ModelFiles
import Models
import SharedRandomness
import Tensors
import Testing

@Suite("Fine-tuning")
struct FineTuningTests {
  /// Ragged examples over the golden vocabulary.
  private func examples(_ count: Int, classes: Int? = nil) -> Dataset {
    Dataset(
      examples: (0..<count).map { index in
        let tokens = (0..<(5 + index * 7 % 23)).map { Int32(3 + ($0 * 5 + index * 11) % 90) }
        return Example(
          tokens: tokens,
          labels: tokens.enumerated().map { $0 < 2 ? Example.masked : $1 },
          classIndex: classes.map { Int32(index % $0) }
        )
      }
    )
  }

  private func workspace(
    _ name: String,
    trainable: [String],
    head: ModelHead? = nil,
    threads: Int = 1,
    hoists: Bool = true,
    featureBytes: Int = 1 << 20
  ) throws -> TrainerWorkspace {
    let model = try LoadedModel(
      ModelRequest(
        directory: Golden.folder(name),
        head: head,
        trainable: ParameterSelection(trainable),
        headSeed: 7,
        featureBytes: featureBytes
      )
    )
    return try TrainerWorkspace(
      model,
      team: ThreadTeam(threads: threads),
      hoistsFrozenPrefix: hoists
    )
  }

  private let direction = Direction(
    bank: DirectionBank(family: .independent, key: 11, epoch: 0),
    index: 3
  )

  /// Losses of a few probes and moves.
  private func losses(
    _ workspace: TrainerWorkspace,
    _ data: ClientData,
    steps: UInt32 = 5
  ) throws -> [Float] {
    var trainer = ClientTrainer(workspace, data: data, key: 5)
    try trainer.load([])
    return try (0..<steps).flatMap { step -> [Float] in
      let row = Direction(bank: direction.bank, index: step)
      let address = StepAddress(round: 1, client: 2, step: step)
      let (plus, minus) = try trainer.probe(row, epsilon: 1e-3, at: address)
      try trainer.move(along: row, by: -1e-3 * (plus - minus))
      return [plus, minus]
    }
  }

  @Test("A hoisted prefix, kept or not, changes no bit and neither does the number of threads")
  func hoisting() throws {
    let data = examples(9, classes: 5)
    for trainable in [["classifier.*"], ["*layer.1.*", "classifier.*"]] {
      let plain = try losses(
        workspace("bert-classes", trainable: trainable, hoists: false),
        ClientData(data, batchSize: 4)
      )
      #expect(plain.allSatisfy { $0.isFinite })
      for (threads, limit) in [(1, 1 << 20), (1, 0), (3, 1 << 20)] {
        let hoisting = try workspace(
          "bert-classes",
          trainable: trainable,
          threads: threads,
          featureBytes: limit
        )
        #expect(hoisting.hoists)
        let got = try losses(hoisting, ClientData(data, batchSize: 4))
        #expect(got == plain, "\(trainable), limit \(limit)")
        #expect(hoisting.model.features.byteCount <= limit)
        #expect((hoisting.model.features.byteCount > 0) == (limit > 0))
      }
    }
  }

  @Test("A version has the same bits from the base and from whatever version was loaded before")
  func versions() throws {
    func update(_ epoch: UInt32, _ amount: Int32) -> WeightUpdate {
      .directions(
        DirectionUpdate(
          bank: DirectionBank(family: .independent, key: 5, epoch: epoch),
          scaleExponent: 20,
          terms: [.init(direction: 1, amount: amount), .init(direction: 9, amount: -3 * amount)]
        )
      )
    }
    let used = try workspace("llama", trainable: ["*"])
    let count = Int32(used.model.parameterCount)
    func integers(_ factor: Int32) -> WeightUpdate {
      let amounts = (0..<count).map { ($0 % 257 - 128) * factor }
      return .integers(IntegerUpdate(scaleExponent: 22, amounts: amounts))
    }
    let versions: [[WeightUpdate]] = [
      [update(0, 5)], [update(0, 7)], [update(0, 7), update(1, 1)],
      [update(0, 7), update(1, 4), update(2, 2)], [update(0, 7), update(1, 4), update(2, 9)],
      [update(0, 7), update(1, 4), update(2, 9), update(3, 1), update(4, 1)],
      // Another history, a shorter one, none.
      [update(0, 8), update(1, 4), update(2, 9)], [update(0, 8), update(1, 4)], [],
      // Integers one by one.
      [integers(3)], [integers(4)], [update(0, 8), integers(4)],
    ]
    let name = "model.layers.0.mlp.up_proj.weight"
    let base = try weights(used, name)
    used.load([integers(3)])
    let formed = try weights(used, name)
    let start = try #require(used.model.blocks.first { $0.name == name }).range.lowerBound
    for index in 0..<base.count / 4 {
      let amount = ((start + index) % 257 - 128) * 3
      let wanted = Float(Double(float(base, index)) + 0x1p-22 * Double(amount))
      #expect(float(formed, index) == wanted)
    }
    for version in versions + versions.reversed() {
      used.load(version)
      let fresh = try workspace("llama", trainable: ["*"])
      fresh.load(version)
      #expect(try weights(used, name) == weights(fresh, name))
      // Local steps leave the next version alone.
      var trainer = ClientTrainer(used, data: ClientData(examples(3), batchSize: 2), key: 1)
      try trainer.move(along: direction, by: 0.5)
    }
  }

  /// The present weights of a tensor, as they are exported.
  private func float(_ bytes: [UInt8], _ index: Int) -> Float {
    unsafe bytes.withUnsafeBytes { bytes in
      unsafe bytes.loadUnaligned(fromByteOffset: 4 * index, as: Float.self)
    }
  }

  private func weights(_ workspace: TrainerWorkspace, _ name: String) throws -> [UInt8] {
    let folder = "/tmp/samara-versions-\(getpid())"
    defer { remove(folder) }
    try workspace.export(to: folder)
    let checkpoint = try Checkpoint(directory: folder)
    let bytes = try checkpoint.bytes(of: name)
    return unsafe Array(bytes.bytes)
  }

  @Test("A probe is the loss at both sides of the weights, by forward passes of the moved model")
  func probe() throws {
    let workspace = try workspace("llama", trainable: ["*"])
    let data = ClientData(examples(1), batchSize: 1)
    var trainer = ClientTrainer(workspace, data: data, key: 5)
    try trainer.load([])
    let address = StepAddress(round: 0, client: 0, step: 0)
    let (plus, minus) = try trainer.probe(direction, epsilon: 0.01, at: address)
    try trainer.move(along: direction, by: 0.01)
    let above = try workspace.evaluate(data).meanLoss
    try trainer.move(along: direction, by: -0.02)
    let below = try workspace.evaluate(data).meanLoss
    #expect(abs(Double(plus) - above) < 1e-5)
    #expect(abs(Double(minus) - below) < 1e-5)
    #expect(abs(plus - minus) > 1e-4)
  }

  @Test("Each pass over the data visits every example once")
  func passes() throws {
    // Rows of one token value each: the loss of a probe at ε = 0 names the example.
    let data = ClientData(examples(7), batchSize: 1)
    let workspace = try workspace("llama", trainable: ["*norm*"])
    var trainer = ClientTrainer(workspace, data: data, key: 5)
    try trainer.load([])
    var rounds: [[Float]] = []
    for round in [UInt32(0), 1] {
      var seen: [Float] = []
      for step in 0..<14 {
        let address = StepAddress(round: round, client: 0, step: UInt32(step))
        seen.append(try trainer.probe(direction, epsilon: 0, at: address).plus)
      }
      #expect(Set(seen[..<7]).count == 7)
      #expect(seen[..<7].sorted() == seen[7...].sorted())
      rounds.append(seen)
    }
    #expect(rounds[0] != rounds[1])
  }

  @Test("The batch size changes no bit of an evaluation")
  func evaluation() throws {
    for (name, head) in [("qwen2", nil), ("bert", ModelHead.classifier(classes: 3))] {
      let workspace = try workspace(name, trainable: [], head: head)
      let data = examples(10, classes: 3)
      let one = try workspace.evaluate(ClientData(data, batchSize: 1))
      #expect(one.perplexity > 1)
      for size in [3, 4, 100] {
        #expect(try workspace.evaluate(ClientData(data, batchSize: size)) == one, "\(name) \(size)")
      }
    }
  }

  @Test("What is exported loads again and gives the same losses")
  func export() throws {
    let folder = "\(temporary)/export-\(getpid())"
    defer { remove(folder) }
    for (name, head, trainable) in [
      ("llama-tied-bf16", nil, ["*q_proj*", "*norm*"]),
      ("bert", ModelHead.classifier(classes: 3), ["classifier.*", "*.bias"]),
      ("mistral-f16-sharded", nil, ["*"]),
    ] as [(String, ModelHead?, [String])] {
      let workspace = try workspace(name, trainable: trainable, head: head)
      let terms = [DirectionUpdate.Term(direction: 3, amount: 500)]
      let update = DirectionUpdate(bank: direction.bank, scaleExponent: 16, terms: terms)
      workspace.load([.directions(update)])
      let data = ClientData(examples(6, classes: head == nil ? nil : 3), batchSize: 2)
      let before = try workspace.evaluate(data)
      try workspace.export(to: folder, labels: head == nil ? nil : ["a", "b", "c"])
      let again = try LoadedModel(ModelRequest(directory: folder))
      #expect(again.head == workspace.model.head)
      #expect(again.newTensors.isEmpty)
      let after = try TrainerWorkspace(again, team: ThreadTeam(threads: 1)).evaluate(data)
      // Another choice of parameters has another frozen prefix, whose products may go by parts.
      #expect(after.predictions == before.predictions && after.accuracy == before.accuracy)
      #expect(abs(after.meanLoss / before.meanLoss - 1) < 1e-6, "\(name)")
      remove(folder)
    }
  }

  @Test("The base digest covers weights, choice of parameters and the seed of a new head")
  func digest() throws {
    func digest(_ trainable: [String], seed: UInt64) throws -> Digest {
      try LoadedModel(
        ModelRequest(
          directory: Golden.folder("bert"),
          head: .classifier(classes: 4),
          trainable: ParameterSelection(trainable),
          headSeed: seed
        )
      ).baseDigest
    }
    let base = try digest(["classifier.*"], seed: 1)
    #expect(try digest(["classifier.*"], seed: 1) == base)
    #expect(try digest(["classifier.*"], seed: 2) != base)
    #expect(try digest(["classifier.weight"], seed: 1) != base)
  }

  @Test(
    "Patterns choose names; the last that matches decides",
    arguments: [
      (["*"], "a.weight", true), (["*.bias"], "a.weight", false), (["*.bias"], "a.bias", true),
      (["*", "!*.bias"], "a.bias", false), (["*", "!*.bias", "a.*"], "a.bias", true),
      (["layer.?.w"], "layer.1.w", true), (["layer.?.w"], "layer.12.w", false),
      (["*a*b*c"], "xxaxbxbxc", true), (["*a*b*c"], "xxaxbxbx", false), ([], "a", false),
      (["**"], "a", true),
    ]
  )
  func patterns(patterns: [String], name: String, chosen: Bool) {
    #expect(ParameterSelection(patterns).contains(name) == chosen)
  }

  @Test("A pattern that matches nothing and a folder that is no model are refused")
  func refused() {
    #expect(throws: FineTuningError.self) { try workspace("llama", trainable: ["nothing.*"]) }
    #expect(throws: FineTuningError.self) { try workspace("none", trainable: []) }
    #expect(throws: FineTuningError.self) {
      try workspace("llama", trainable: [], head: .hidden).evaluate(
        ClientData(Dataset(examples: []), batchSize: 1)
      )
    }
  }

  private var temporary: String {
    // SAFETY: getenv's text is copied at once.
    unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
  }

  private func remove(_ folder: String) {
    for name in (try? ModelFolder.fileNames(folder)) ?? [] { unsafe unlink("\(folder)/\(name)") }
    unsafe rmdir(folder)
  }
}
