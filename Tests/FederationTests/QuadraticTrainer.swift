// Apache-2.0.
import FederatedCore
import SharedRandomness

/// A trainer without an engine: loss ½|w − o|², the optimum o differs a little by client.
///
/// Its gradient is exact: descent knows the plain rule, bound and proximal term.
struct QuadraticTrainer: LocalTrainer {
  static let count = 200
  let parameterCount = Self.count
  let exampleCount = 10
  let memory: [UInt8]
  static let blocks = [
    ParameterBlock(name: "a", shape: [12, 10], range: 0..<120),
    ParameterBlock(name: "b", shape: [80], range: 120..<200),
  ]
  var blocks: [ParameterBlock] { Self.blocks }
  private let client: UInt32
  private(set) var weights = [Float](repeating: 0, count: Self.count)
  private var loaded = [Float](repeating: 0, count: Self.count)

  init(client: UInt32, memory: [UInt8] = []) {
    self.client = client
    self.memory = memory
  }

  /// The loss of the version without the difference of a client.
  static func loss(of session: any AlgorithmSession) throws -> Float {
    var trainer = QuadraticTrainer(client: 1)
    try trainer.load(session.weightUpdates())
    return trainer.loss(trainer.weights)
  }

  mutating func load(_ updates: [WeightUpdate]) throws {
    weights = [Float](repeating: 0, count: Self.count)
    for update in updates {
      var sums = [Int32](repeating: 0, count: Self.count)
      let scaleExponent: Int
      switch update {
      case .directions(let update):
        let elements = update.elements ?? 0..<Self.count
        var moves = [Int32](repeating: 0, count: elements.count)
        var span = moves.mutableSpan
        update.bank.accumulate(
          update.terms.map { ($0.direction, $0.amount) },
          elements: elements,
          into: &span
        )
        for (element, move) in zip(elements, moves) { sums[element] = move }
        scaleExponent = update.scaleExponent
      case .integers(let update):
        sums = update.amounts
        scaleExponent = update.scaleExponent
      }
      let unit = Double(sign: .plus, exponent: -scaleExponent, significand: 1)
      for index in weights.indices {
        weights[index] = Float(Double(weights[index]) + unit * Double(sums[index]))
      }
    }
    loaded = weights
  }

  mutating func descend(_ rule: LocalRule, rate: Float, at address: StepAddress) throws -> Float {
    let before = loss(weights)
    var gradient = weights.indices.map { index in
      weights[index] - optimum(index) + rule.proximal * (weights[index] - loaded[index])
    }
    if let bound = rule.clipNorm {
      let norm = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
      if norm > bound { gradient = gradient.map { $0 * bound / norm } }
    }
    for index in weights.indices { weights[index] -= rate * gradient[index] }
    return before
  }

  mutating func difference(into amounts: inout [Float]) throws {
    amounts = zip(weights, loaded).map { $0 - $1 }
  }

  mutating func probe(_ direction: Direction, epsilon: Float, at address: StepAddress) throws
    -> (plus: Float, minus: Float)
  {
    let z = signs(direction)
    return (
      loss(zip(weights, z).map { $0 + epsilon * $1 }),
      loss(zip(weights, z).map { $0 - epsilon * $1 })
    )
  }

  mutating func move(along direction: Direction, by step: Float) throws {
    for (index, sign) in signs(direction).enumerated() { weights[index] += step * sign }
  }

  private func signs(_ direction: Direction) -> [Float] {
    var words = [UInt64](repeating: 0, count: (Self.count + 127) / 128 * 2)
    var span = words.mutableSpan
    direction.bank.fillSigns(direction.index, elements: 0..<Self.count, into: &span)
    return (0..<Self.count).map { words[$0 / 64] >> UInt64($0 % 64) & 1 == 1 ? -1 : 1 }
  }

  private func loss(_ weights: [Float]) -> Float {
    var sum: Float = 0
    for (index, weight) in weights.enumerated() {
      sum += (weight - optimum(index)) * (weight - optimum(index))
    }
    return sum / 2
  }

  private func optimum(_ index: Int) -> Float { Float(index % 7) - 3 + 0.1 * (Float(client) - 1) }
}
