// Apache-2.0.
import Tensors

extension Workspace {
  /// What optimisers keep from step to step, by name; sums of gradients, empty between two steps, are
  /// left out.
  public var stateNames: [String] { states.keys.filter { !$0.hasPrefix("sum.") }.sorted() }

  /// Elements of a state, none where there is no state of the name.
  public func state(_ name: String) -> [Float] {
    guard let state = states[name] else { return [] }
    // SAFETY: the buffer lives to the end of the statement.
    return unsafe Array(state.floats)
  }

  /// State ← elements that were read of it.
  public func setState(_ name: String, _ elements: [Float]) {
    let state = state(name, byteCount: 4 * elements.count)
    // SAFETY: as many elements as the buffer has.
    for (index, element) in elements.enumerated() { unsafe state.floats[index] = element }
  }

  /// Weights of a trainable tensor ← as many elements; whether there is such a tensor.
  public func setWeights(of name: String, _ elements: [Float]) -> Bool {
    guard let position = table.position(name), let start = table.entries[position].start,
      elements.count == table.entries[position].tensor.shape.elementCount
    else { return false }
    // SAFETY: as many elements as the tensor has.
    for (index, element) in elements.enumerated() { unsafe masterAddress(start)[index] = element }
    return true
  }
}
