// Apache-2.0.
import FederatedCore

/// The local training of first-order methods: steps down the gradient from the task's version.
struct LocalDescent: Sendable, Equatable {
  /// How weights follow gradients.
  let rule: LocalRule
  /// Step size.
  let rate: Float

  static let keys = [
    "optimizer", "learning_rate", "momentum", "beta1", "beta2", "weight_decay", "gamma", "delta",
    "proximal", "clip_norm",
  ]
  /// Local steps of one task.
  static let maximumSteps = 4096

  init(_ settings: AlgorithmSettings) throws(AlgorithmError) {
    rate = Float(try settings.number("learning_rate", in: 1e-9...1000, standard: 0.01))
    let kind: LocalRule.Kind
    switch try settings.word("optimizer", of: ["sgd", "momentum", "adamw", "delta-sgd"]) {
    case "sgd": kind = .sgd
    case "momentum":
      kind = .momentum(Float(try settings.number("momentum", in: 0...0.999999, standard: 0.9)))
    case "adamw":
      kind = .adamW(
        beta1: Float(try settings.number("beta1", in: 0...0.999999, standard: 0.9)),
        beta2: Float(try settings.number("beta2", in: 0...0.999999, standard: 0.999)),
        decay: Float(try settings.number("weight_decay", in: 0...1, standard: 0)),
        epsilon: 1e-8
      )
    default:
      kind = .deltaSGD(
        gamma: Float(try settings.number("gamma", in: 1e-3...1000, standard: 2)),
        delta: Float(try settings.number("delta", in: 0...1000, standard: 0.1))
      )
    }
    let bound = try settings.number("clip_norm", in: 0...1e9, standard: 0)
    rule = LocalRule(
      kind,
      proximal: Float(try settings.number("proximal", in: 0...1000, standard: 0)),
      clipNorm: bound > 0 ? Float(bound) : nil
    )
  }

  /// Runs a task's steps.
  func run(_ task: LocalTask, on trainer: inout any LocalTrainer) throws
    -> (meanLoss: Float, skipped: Int)
  {
    try task.descend(by: rule, rate: rate, on: &trainer)
  }
}

extension LocalTask {
  /// Takes all steps on `trainer`.
  ///
  /// - Returns: mean of the losses that are finite, NaN where none is, and how many are not.
  func descend(
    by rule: LocalRule,
    rate: Float,
    on trainer: inout any LocalTrainer
  ) throws -> (meanLoss: Float, skipped: Int) {
    var sum = 0.0
    var counted = 0
    for step in 0..<UInt32(steps) {
      let address = StepAddress(round: round, client: client, step: step)
      let loss = try trainer.descend(rule, rate: rate, at: address)
      guard loss.isFinite else { continue }
      sum += Double(loss)
      counted += 1
    }
    return (counted > 0 ? Float(sum / Double(counted)) : .nan, steps - counted)
  }
}
