// Apache-2.0.
import Execution
public import FederatedCore
public import GraphCompiler
import Tensors

extension ClientTrainer {
  /// One step down the gradient on the batch of the address, by the plans of `GradientTrainer`.
  ///
  /// - Returns: the mean loss before the step.
  public mutating func descend(
    _ rule: LocalRule,
    rate: Float,
    at address: StepAddress
  ) throws -> Float {
    takeReference()
    let trainer = descent(by: rule)
    descent = trainer
    hasMoved = true
    return try trainer.step(examples(at: address), rows: batchSize, rate: rate)
  }

  /// amounts[p] ← w[p] − w_loaded[p], in binary32.
  public mutating func difference(into amounts: inout [Float]) throws {
    takeReference()
    guard let reference = workspace.reference else { return }
    amounts = workspace.workspace.difference(from: reference)
  }

  /// The trainer of a rule, a new one after `load`.
  private func descent(by rule: LocalRule) -> GradientTrainer {
    let clipping = rule.clipNorm.map { Clipping.global($0) } ?? .none
    let optimizer = Optimizer(rule.kind)
    if let descent, descent.optimizer == optimizer, descent.clipping == clipping,
      descent.proximal == rule.proximal
    {
      return descent
    }
    return GradientTrainer(
      workspace,
      optimizer: optimizer,
      clipping: clipping,
      proximal: rule.proximal
    )
  }

  /// Keeps the weights of the version, which only steps down the gradient need.
  private mutating func takeReference() {
    guard !hasReference else { return }
    hasReference = true
    guard hasMoved else { return workspace.takeReference() }
    // Moved along directions before: the version is formed once more beside the present weights.
    let present = workspace.workspace.copyOfWeights()
    workspace.load(updates)
    workspace.takeReference()
    workspace.workspace.restore(present)
  }
}

extension TrainerWorkspace {
  /// Remembers the present weights in the room of those remembered before.
  func takeReference() {
    if let reference {
      workspace.copyWeights(to: reference)
    } else {
      reference = workspace.copyOfWeights()
    }
  }
}

extension Optimizer {
  /// The optimiser of a rule.
  public init(_ kind: LocalRule.Kind) {
    switch kind {
    case .sgd: self = .sgd()
    case .momentum(let momentum): self = .momentum(momentum)
    case .adamW(let beta1, let beta2, let decay, let epsilon):
      self = .adamW(beta1: beta1, beta2: beta2, epsilon: epsilon, decay: decay)
    case .deltaSGD(let gamma, let delta): self = .delta(gamma: gamma, delta: delta)
    }
  }
}
