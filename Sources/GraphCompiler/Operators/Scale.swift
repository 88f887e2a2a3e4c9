// Apache-2.0.
import CKernels
public import Tensors

/// y = factor · x.
public struct Scale: DifferentiableOperator {
  /// Name in printed plans.
  public static let name = "scale"

  let factor: Float

  /// y as x.
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    [inputs[0]]
  }

  /// An element is read before it is written.
  public var overwritableInputs: [Int] { [0] }

  /// One an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int { inputs[0].shape.elementCount }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    [ReferenceTensor(inputs[0].shape, inputs[0].data.map { $0 * Double(factor) })]
  }

  /// Tasks are parts.
  public func run(_ call: KernelCall) {
    // SAFETY: two values of one shape; parts are disjoint.
    let (x, y) = unsafe (call.floats(0), call.result())
    let kernels = unsafe call.kernels
    call.split(call.outputTypes[0].shape.elementCount, grain: 8192) { part, _ in
      let at = part.lowerBound
      unsafe kernels.scale(x + at, factor, y + at, Int64(part.count))
    }
  }

  /// dx = factor · dy.
  public func gradient(_ backward: inout BackwardBuilder) throws(GraphError) {
    guard let dy = backward.outputGradient() else { return }
    try backward.add(input: 0, backward.apply(self, [dy])[0])
  }
}
