// Apache-2.0.
import FederatedCore
import SharedRandomness

/// A trainer of many parameters that learns nothing: its steps are numbers that follow from their
/// address, so that payloads are long and the same in every repetition.
struct WideTrainer: LocalTrainer {
  let blocks: [ParameterBlock]
  let exampleCount = 10
  let memory: [UInt8]
  private var moved: [Float]

  init(_ blocks: [ParameterBlock], memory: [UInt8]) {
    self.blocks = blocks
    self.memory = memory
    moved = [Float](repeating: 0, count: blocks.last?.range.upperBound ?? 0)
  }

  var parameterCount: Int { moved.count }

  mutating func load(_ updates: [WeightUpdate]) throws {}

  mutating func probe(
    _ direction: Direction,
    epsilon: Float,
    at address: StepAddress
  ) throws -> (plus: Float, minus: Float) { (1, 1) }

  mutating func move(along direction: Direction, by step: Float) throws {}

  mutating func descend(_ rule: LocalRule, rate: Float, at address: StepAddress) throws -> Float {
    var state = UInt64(address.round) << 32 | UInt64(address.client) << 16 | UInt64(address.step)
    for index in moved.indices {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      moved[index] += Float(Int32(truncatingIfNeeded: state >> 32)) * 0x1p-40
    }
    return 1
  }

  mutating func difference(into amounts: inout [Float]) throws { amounts = moved }
}
