// Apache-2.0.
import Execution
import ModelFiles
import Models
public import Tensors

extension LoadedModel {
  /// Whether the checkpoint has a tensor as the model uses it, no norm folded in and none new.
  func isStored(_ name: String) -> Bool {
    checkpoint.contains(name) && family.foldedNorm(name) == nil && !newTensors.contains(name)
  }

  /// Extents of a tensor in the checkpoint.
  func storedExtents(_ name: String, _ shape: Shape) -> [Int] {
    family.isTransposed(name)
      ? shape.dimensions.reversed() : family.storedShape(name, shape).dimensions
  }

  /// A matrix of the model as its checkpoint has it, which may be the other way round.
  ///
  /// - Parameters:
  ///   - values: elements [outputs, inputs], row-major, perhaps of the first inputs alone.
  ///   - shape: extents of the whole tensor as the model has it.
  /// - Returns: extents and elements of the checkpoint's form.
  public func asStored(
    _ name: String,
    _ values: [Float],
    _ shape: Shape
  ) -> (extents: [Int], values: [Float]) {
    let extents =
      values.count == shape.elementCount
      ? family.storedShape(name, shape).dimensions
      : [shape.rows, values.count / max(1, shape.rows)]
    guard family.isTransposed(name), extents.count == 2 else { return (extents, values) }
    let (rows, columns) = (extents[0], extents[1])
    var turned: [Float] = []
    turned.reserveCapacity(values.count)
    for column in 0..<columns {
      for row in 0..<rows { turned.append(values[row * columns + column]) }
    }
    return ([columns, rows], turned)
  }
}
