// Apache-2.0.
import FederatedCore
import SharedRandomness

/// A trainer that tells of every probe and the mean loss so far, and stops where the listener throws.
struct ObservedTrainer: LocalTrainer {
  private var trainer: any LocalTrainer
  private var probes = 0
  private var counted = 0
  private var sum = 0.0
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
    let loss = (losses.plus + losses.minus) / 2
    // A step whose loss is not finite is skipped by the algorithm and counts nowhere.
    if loss.isFinite {
      counted += 1
      sum += Double(loss)
    }
    try onProbe(probes, Float(sum / Double(max(1, counted))))
    return losses
  }

  mutating func move(along direction: Direction, by step: Float) throws {
    try trainer.move(along: direction, by: step)
  }
}
