// Apache-2.0.
import FederatedCore
import SharedRandomness

/// A trainer that tells of every probe, and stops where the listener throws.
struct ObservedTrainer: LocalTrainer {
  private var trainer: any LocalTrainer
  private var probes = 0
  private let onProbe: (_ done: Int, _ loss: Float) throws -> Void

  init(_ trainer: any LocalTrainer, onProbe: @escaping (_ done: Int, _ loss: Float) throws -> Void)
  {
    self.trainer = trainer
    self.onProbe = onProbe
  }

  var parameterCount: Int { trainer.parameterCount }

  var exampleCount: Int { trainer.exampleCount }

  mutating func load(_ updates: [WeightUpdate]) throws { try trainer.load(updates) }

  mutating func probe(
    _ direction: Direction,
    epsilon: Float,
    at address: StepAddress
  ) throws -> (plus: Float, minus: Float) {
    let losses = try trainer.probe(direction, epsilon: epsilon, at: address)
    probes += 1
    try onProbe(probes, (losses.plus + losses.minus) / 2)
    return losses
  }

  mutating func move(along direction: Direction, by step: Float) throws {
    try trainer.move(along: direction, by: step)
  }
}
