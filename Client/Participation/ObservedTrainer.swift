// Apache-2.0.
import FederatedCore
import SharedRandomness

/// A trainer that tells of every step and the mean loss so far, and stops where the listener throws.
struct ObservedTrainer: LocalTrainer {
  private var trainer: any LocalTrainer
  private var steps = 0
  private var counted = 0
  private var sum = 0.0
  private let onStep: (_ done: Int, _ loss: Float) throws -> Void

  init(_ trainer: any LocalTrainer, onStep: @escaping (_ done: Int, _ loss: Float) throws -> Void) {
    self.trainer = trainer
    self.onStep = onStep
  }

  var parameterCount: Int { trainer.parameterCount }

  var exampleCount: Int { trainer.exampleCount }

  var blocks: [ParameterBlock] { trainer.blocks }

  var memory: [UInt8] { trainer.memory }

  mutating func load(_ updates: [WeightUpdate]) throws { try trainer.load(updates) }

  mutating func probe(
    _ direction: Direction,
    epsilon: Float,
    at address: StepAddress
  ) throws -> (plus: Float, minus: Float) {
    let losses = try trainer.probe(direction, epsilon: epsilon, at: address)
    try tell((losses.plus + losses.minus) / 2)
    return losses
  }

  mutating func descend(
    _ rule: LocalRule,
    rate: Float,
    at address: StepAddress
  ) throws -> Float {
    let loss = try trainer.descend(rule, rate: rate, at: address)
    try tell(loss)
    return loss
  }

  mutating func difference(into amounts: inout [Float]) throws {
    try trainer.difference(into: &amounts)
  }

  private mutating func tell(_ loss: Float) throws {
    steps += 1
    // A step whose loss is not finite is skipped by the algorithm and counts nowhere.
    if loss.isFinite {
      counted += 1
      sum += Double(loss)
    }
    try onStep(steps, Float(sum / Double(max(1, counted))))
  }

  mutating func move(along direction: Direction, by step: Float) throws {
    try trainer.move(along: direction, by: step)
  }
}
