// Apache-2.0.
import Glibc
public import Tensors

/// What clients that train by gradients ask beyond the plan of a step.
extension Workspace {
  /// The present weights less those of a copy, in binary32, every trainable element in its order.
  public func difference(from copy: AlignedBuffer) -> [Float] {
    precondition(copy.byteCount == master.byteCount, "a copy of other weights")
    let count = table.trainableCount
    // SAFETY: all three have `count` elements.
    let (weights, from) = unsafe (masterAddress(0), copy.floats)
    return unsafe Array(unsafeUninitializedCapacity: count) { buffer, initialized in
      for index in 0..<count {
        unsafe buffer.initializeElement(at: index, to: weights[index] - from[index])
      }
      initialized = count
    }
  }

  /// The states `before.…` ← the present weights.
  public func keepWeights() {
    unsafe eachKept { weights, kept in
      unsafe kept.baseAddress.copyMemory(from: weights, byteCount: kept.byteCount)
    }
  }

  /// w ← the weights kept last.
  public func restoreKeptWeights() {
    unsafe eachKept { weights, kept in
      unsafe UnsafeMutableRawPointer(weights)
        .copyMemory(from: kept.baseAddress, byteCount: kept.byteCount)
    }
  }

  /// w ↔ the weights kept last.
  public func exchangeKeptWeights() {
    unsafe eachKept { weights, kept in
      let other = unsafe kept.floats
      for index in 0..<kept.byteCount / 4 {
        let weight = unsafe weights[index]
        unsafe weights[index] = other[index]
        unsafe other[index] = weight
      }
    }
  }

  @unsafe private func eachKept(_ body: (UnsafeMutablePointer<Float>, AlignedBuffer) -> Void) {
    for entry in table.entries {
      guard let start = entry.start else { continue }
      // SAFETY: as many elements as the tensor has.
      let kept = state("before.\(entry.name)", byteCount: 4 * entry.tensor.shape.elementCount)
      unsafe body(masterAddress(start), kept)
    }
  }

  /// Adds `factor` · (w − copy) to the sums of gradients that accumulation left.
  ///
  /// A sum may be of the first columns of a matrix alone; then only those count.
  public func addProximal(_ factor: Float, from copy: AlignedBuffer) {
    precondition(copy.byteCount == master.byteCount, "a copy of other weights")
    for entry in table.entries {
      guard let start = entry.start, let sum = states["sum.\(entry.name)"] else { continue }
      let rows = entry.tensor.shape.rows
      let columns = entry.tensor.shape.columns
      let summed = rows > 0 ? sum.byteCount / 4 / rows : 0
      for row in 0..<rows {
        for column in 0..<min(summed, columns) {
          let place = start + row * columns + column
          // SAFETY: `summed` elements a row of the sum, `columns` of the weights.
          unsafe sum.floats[row * summed + column] +=
            factor * (masterAddress(place).pointee - copy.floats[place])
        }
      }
    }
  }

  /// Moves sums of gradients to the states `previous.…`, which Δ-SGD compares with those of the present weights.
  public func keepSums() {
    for entry in table.entries {
      guard entry.start != nil, let sum = states["sum.\(entry.name)"] else { continue }
      let kept = state("previous.\(entry.name)", byteCount: sum.byteCount)
      // SAFETY: two buffers of one size.
      unsafe kept.baseAddress.copyMemory(from: sum.baseAddress, byteCount: sum.byteCount)
      unsafe memset(sum.baseAddress, 0, sum.byteCount)
    }
  }
}
