// Apache-2.0.
import Datasets
import FederatedCore
import FineTuning
import GraphCompiler
import SharedRandomness
import Tensors
import Testing

@Suite("Clients that train by gradients")
struct DescentTests {
  private let dataset = Dataset(
    examples: (0..<6).map { index in
      let tokens = (0..<7 + index).map { Int32(3 + ($0 * 5 + index * 11) % 90) }
      return Example(tokens: tokens, labels: tokens)
    }
  )
  private let data: ClientData

  init() { data = ClientData(dataset, batchSize: 2) }

  private func workspace() throws -> TrainerWorkspace {
    try TrainerWorkspace(
      LoadedModel(
        ModelRequest(
          directory: Golden.folder("llama"),
          trainable: ParameterSelection(["*mlp*", "*norm*"])
        )
      ),
      team: ThreadTeam(threads: 2)
    )
  }

  private func address(_ step: UInt32) -> StepAddress {
    StepAddress(round: 1, client: 2, step: step)
  }

  /// The gradient at the present weights on the batch of a step, in canonical order.
  private func gradient(
    _ workspace: TrainerWorkspace,
    _ trainer: ClientTrainer,
    _ step: UInt32
  ) throws -> [Float] {
    var drawer = trainer
    let examples = drawer.examples(at: address(step))
    let found = try GradientTrainer(workspace, optimizer: .sgd()).gradients(examples, rows: 2)
    return trainer.blocks.flatMap { found.gradients[$0.name] ?? [] }
  }

  private func norm(_ values: [Float]) -> Double {
    values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
  }

  private func expectEqual(_ found: [Float], _ wanted: [Float]) {
    #expect(found.count == wanted.count)
    let distance = norm(zip(found, wanted).map { $0 - $1 })
    // Differences of weights near 1 are known to one part in 2^24 of the weight.
    #expect(distance < 1e-3 * norm(wanted), "\(distance) of \(norm(wanted))")
  }

  @Test("A step of SGD goes down the gradient of its batch, and load forgets it")
  func plain() throws {
    let workspace = try workspace()
    var trainer = ClientTrainer(workspace, data: data, key: 5)
    try trainer.load([])
    let gradient = try gradient(workspace, trainer, 0)
    #expect(gradient.count == trainer.parameterCount)
    _ = try trainer.descend(LocalRule(.sgd), rate: 0.5, at: address(0))
    var moved: [Float] = []
    try trainer.difference(into: &moved)
    expectEqual(moved, gradient.map { -0.5 * $0 })
    try trainer.load([])
    try trainer.difference(into: &moved)
    #expect(moved.allSatisfy { $0 == 0 })
  }

  @Test("The way is measured from the version also after moves along a direction")
  func mixed() throws {
    let workspace = try workspace()
    var trainer = ClientTrainer(workspace, data: data, key: 5)
    let amounts = (0..<Int32(trainer.parameterCount)).map { $0 % 1000 - 500 }
    try trainer.load([.integers(IntegerUpdate(scaleExponent: 16, amounts: amounts))])
    let direction = Direction(
      bank: DirectionBank(family: .independent, key: 11, epoch: 0),
      index: 3
    )
    try trainer.move(along: direction, by: 0.25)
    var moved: [Float] = []
    try trainer.difference(into: &moved)
    #expect(moved.allSatisfy { abs(abs($0) - 0.25) < 1e-6 })
    _ = try trainer.descend(LocalRule(.sgd), rate: 0, at: address(0))
    var again: [Float] = []
    try trainer.difference(into: &again)
    #expect(again == moved)
  }

  @Test("Momentum, AdamW and a bound on the norm are those of the trainer of one machine")
  func rules() throws {
    for rule in [
      LocalRule(.momentum(0.9), clipNorm: 0.5),
      LocalRule(.adamW(beta1: 0.9, beta2: 0.99, decay: 0.01, epsilon: 1e-8)),
    ] {
      let alone = try workspace()
      let optimizer = GradientTrainer(
        alone,
        optimizer: .init(rule.kind),
        clipping: rule.clipNorm.map { .global($0) } ?? .none
      )
      var trainer = ClientTrainer(try workspace(), data: data, key: 5)
      try trainer.load([])
      for step in UInt32(0)..<3 {
        let wanted = try optimizer.step(trainer.examples(at: address(step)), rows: 2, rate: 0.01)
        #expect(try trainer.descend(rule, rate: 0.01, at: address(step)) == wanted)
      }
    }
  }

  @Test("The proximal term draws back to the version")
  func proximal() throws {
    let workspace = try workspace()
    var trainer = ClientTrainer(workspace, data: data, key: 5)
    try trainer.load([])
    let rule = LocalRule(.sgd, proximal: 0.5)
    _ = try trainer.descend(rule, rate: 0.5, at: address(0))
    var first: [Float] = []
    try trainer.difference(into: &first)
    let gradient = try gradient(workspace, trainer, 1)
    _ = try trainer.descend(rule, rate: 0.5, at: address(1))
    var second: [Float] = []
    try trainer.difference(into: &second)
    expectEqual(
      second,
      zip(first, gradient).map { $0 - 0.5 * ($1 + 0.5 * $0) }
    )
  }

  @Test("Delta-SGD compares both gradients on the present batch")
  func delta() throws {
    let workspace = try workspace()
    var trainer = ClientTrainer(workspace, data: data, key: 5)
    try trainer.load([])
    let before = try gradient(workspace, trainer, 1)
    let rule = LocalRule(.deltaSGD(gamma: 2, delta: 0.1))
    _ = try trainer.descend(rule, rate: 0.2, at: address(0))
    var first: [Float] = []
    try trainer.difference(into: &first)
    // The first step is that of SGD; another workspace, because the states of this one are in use.
    let other = try self.workspace()
    var twin = ClientTrainer(other, data: data, key: 5)
    _ = try twin.descend(LocalRule(.sgd), rate: 0.2, at: address(0))
    let after = try gradient(other, twin, 1)
    _ = try trainer.descend(rule, rate: 0.2, at: address(1))
    var second: [Float] = []
    try trainer.difference(into: &second)
    let secant = norm(first) / norm(zip(after, before).map { $0 - $1 })
    let rate = Float(min(secant, 1.1.squareRoot() * 0.2))
    expectEqual(second, zip(first, after).map { $0 - rate * $1 })
    // The rule begins anew with the next version.
    try trainer.load([])
    _ = try trainer.descend(rule, rate: 0.2, at: address(0))
    var again: [Float] = []
    try trainer.difference(into: &again)
    #expect(again == first)
  }
}
