// Apache-2.0.
import Execution
public import FederatedCore
import SharedRandomness
import Tensors

/// Weights after the first updates of a version, to go on from.
struct VersionAnchor {
  let updates: ArraySlice<WeightUpdate>
  let weights: AlignedBuffer
}

extension TrainerWorkspace {
  /// Brings the weights to a version: each update is applied to the result of the one before.
  ///
  /// Only the last update of a version still changes. Where there are more, the weights before it are
  /// kept, so that the next version does not begin at the base again.
  public func load(_ updates: [WeightUpdate]) {
    guard let last = updates.last else { return workspace.resetToBase() }
    let closed = updates.dropLast()
    var start = 0
    if let anchor, closed.starts(with: anchor.updates) {
      workspace.restore(anchor.weights)
      start = anchor.updates.count
    }
    for index in start..<closed.count { apply(closed[index], isFromBase: index == 0) }
    if start < closed.count {
      // The old copy goes before the new one comes.
      anchor = nil
      anchor = VersionAnchor(updates: closed, weights: workspace.copyOfWeights())
    }
    apply(last, isFromBase: closed.isEmpty)
  }

  private func apply(_ update: WeightUpdate, isFromBase: Bool) {
    switch update {
    case .directions(let update):
      let replay = BankReplay(
        update.bank,
        terms: update.terms.map { (direction: $0.direction, amount: $0.amount) }
      )
      // Elements that the update leaves alone are to be base weights all the same.
      if isFromBase, update.elements != nil { workspace.resetToBase() }
      workspace.form(
        replay,
        scaleExponent: update.scaleExponent,
        elements: update.elements,
        isFromBase: isFromBase && update.elements == nil
      )
    case .integers(let update):
      workspace.form(update.amounts, scaleExponent: update.scaleExponent, isFromBase: isFromBase)
    }
  }
}
