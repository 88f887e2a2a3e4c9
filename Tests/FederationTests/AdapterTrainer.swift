// Apache-2.0.
import FederatedCore
import SharedRandomness

/// Adapters beside one matrix whose loss is ½‖B·A − T‖², T being the client's.
struct AdapterTrainer: LocalTrainer {
  static let (outputs, inputs, rank) = (6, 8, 4)

  /// Ranks that the device trains.
  let rank: Int
  let exampleCount = 10
  let memory: [UInt8] = []
  private let target: [Float]
  private var weights: [Float] = []
  private var loaded: [Float] = []

  init(target: [Double], rank: Int = Self.rank) {
    self.target = target.map(Float.init)
    self.rank = rank
  }

  var parameterCount: Int { rank * (Self.inputs + Self.outputs) }

  var blocks: [ParameterBlock] {
    [
      ParameterBlock(
        name: "m.lora_A.weight",
        shape: [rank, Self.inputs],
        range: 0..<rank * Self.inputs
      ),
      ParameterBlock(
        name: "m.lora_B.weight",
        shape: [Self.outputs, rank],
        range: rank * Self.inputs..<rank * (Self.inputs + Self.outputs)
      ),
    ]
  }

  mutating func load(_ updates: [WeightUpdate]) throws {
    weights = Self.weights(updates)
    loaded = weights
  }

  /// A and B of a version over a base of zeros.
  static func weights(_ updates: [WeightUpdate]) -> [Float] {
    guard case .integers(let update)? = updates.first else { return [] }
    let unit = Double(sign: .plus, exponent: -update.scaleExponent, significand: 1)
    return update.amounts.map { Float(Double($0) * unit) }
  }

  /// B·A, row by row.
  static func product(_ weights: [Float]) -> [Double] {
    var product = [Double](repeating: 0, count: outputs * inputs)
    let rank = weights.count / (inputs + outputs)
    for i in 0..<outputs {
      for k in 0..<rank {
        let b = Double(weights[rank * inputs + i * rank + k])
        for j in 0..<inputs {
          product[i * inputs + j] += b * Double(weights[k * inputs + j])
        }
      }
    }
    return product
  }

  mutating func probe(
    _ direction: Direction,
    epsilon: Float,
    at address: StepAddress
  ) throws -> (plus: Float, minus: Float) { (0, 0) }

  mutating func move(along direction: Direction, by step: Float) throws {}

  mutating func descend(_ rule: LocalRule, rate: Float, at address: StepAddress) throws -> Float {
    let error = zip(Self.product(weights), target).map { Float($0) - $1 }
    let (inputs, outputs) = (Self.inputs, Self.outputs)
    let before = weights
    for k in 0..<rank {
      for i in 0..<outputs {
        for j in 0..<inputs {
          let (a, b) = (k * inputs + j, rank * inputs + i * rank + k)
          weights[a] -= rate * error[i * inputs + j] * before[b]
          weights[b] -= rate * error[i * inputs + j] * before[a]
        }
      }
    }
    return error.reduce(0) { $0 + $1 * $1 } / 2
  }

  mutating func difference(into amounts: inout [Float]) throws {
    amounts = zip(weights, loaded).map { $0 - $1 }
  }
}
