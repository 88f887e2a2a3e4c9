// Apache-2.0.
import CKernels
public import Tensors

/// What a matrix is packed for.
public enum PanelLayout: Int32, Sendable, Hashable, CaseIterable {
  /// Products of a linear layer in the order of terms.
  case linear = 0
  /// The same by parts (`Graph.withProductsByParts`).
  case parts = 1
  /// Gradients of the input of a linear layer.
  case inputGradient = 2

  /// Bytes of the panels of a matrix [outputs, inputs], 0 where its kernels have no use for them.
  public func byteCount(of shape: Shape) -> Int {
    unsafe KernelTable.current.kernels.pointee
      .panel_bytes(rawValue, Int64(shape.rows), Int64(shape.columns))
  }
}

/// A frozen matrix that is packed once.
public struct PackedWeight: Sendable, Hashable {
  /// The matrix.
  public let parameter: ParameterID
  /// What for.
  public let layout: PanelLayout
}

extension Graph {
  /// The same graph with each frozen matrix packed when the plan is bound instead of in every product.
  ///
  /// Panels take 4 to 6 bytes an element, once for each purpose.
  func withPackedWeights(isTrainable: (String) -> Bool) -> Graph {
    var made = self
    var known: Set<PackedWeight> = []
    for node in nodes {
      guard let matrix = node.parameters.first else { continue }
      let parameter = parameters[matrix.index]
      guard parameter.shape.rank == 2, !isTrainable(parameter.name) else { continue }
      for layout in node.operation.panelLayouts {
        let packed = PackedWeight(parameter: matrix, layout: layout)
        if known.insert(packed).inserted { made.packedWeights.append(packed) }
      }
    }
    return made
  }
}
