// Apache-2.0.
import CKernels
public import Tensors

/// y = gain ⊙ x / √(mean(x²) + ε), by row (Zhang and Sennrich, 2019).
public struct RMSNorm: Operator {
  /// Name in printed plans.
  public static let name = "rms_norm"

  let epsilon: Float

  /// y as x.
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let width = inputs[0].shape.columns
    try require(parameters[0] == [width], "a gain [\(width)], not \(parameters[0])")
    return inputs
  }

  /// A row is read before it is written.
  public var overwritableInputs: [Int] { [0] }

  /// Four an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    4 * inputs[0].shape.elementCount
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    var y = inputs[0]
    let width = y.shape.columns
    for row in 0..<y.shape.rows {
      let squares = (0..<width).reduce(0) { $0 + y[row, $1] * y[row, $1] }
      let scale = 1 / (squares / Double(width) + Double(epsilon)).squareRoot()
      for column in 0..<width { y[row, column] *= scale * parameters[0].data[column] }
    }
    return [y]
  }

  /// Tasks are rows.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; parts are disjoint rows.
    let (x, y) = unsafe (call.floats(0), call.result())
    let gain = unsafe call.parameter(0).vector
    let width = call.outputTypes[0].shape.columns
    let kernels = unsafe call.kernels
    call.split(call.outputTypes[0].shape.rows, grain: 32) { part, _ in
      let at = part.lowerBound * width
      unsafe kernels.rms_norm(x + at, gain, y + at, Int64(part.count), Int64(width), epsilon)
    }
  }
}

/// y = gain ⊙ (x − mean) / √(variance + ε) + bias, by row (Ba et al., 2016).
public struct LayerNorm: Operator {
  /// Name in printed plans.
  public static let name = "layer_norm"

  let epsilon: Float

  /// y as x.
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let width = inputs[0].shape.columns
    try require(parameters[0] == [width], "a gain [\(width)], not \(parameters[0])")
    try require(parameters[1] == [width], "a bias [\(width)], not \(parameters[1])")
    return inputs
  }

  /// A row is read before it is written.
  public var overwritableInputs: [Int] { [0] }

  /// Seven an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    7 * inputs[0].shape.elementCount
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    var y = inputs[0]
    let width = y.shape.columns
    for row in 0..<y.shape.rows {
      let mean = (0..<width).reduce(0) { $0 + y[row, $1] } / Double(width)
      let variance =
        (0..<width).reduce(0) { $0 + (y[row, $1] - mean) * (y[row, $1] - mean) } / Double(width)
      let scale = 1 / (variance + Double(epsilon)).squareRoot()
      for column in 0..<width {
        let normal = (y[row, column] - mean) * scale
        y[row, column] = normal * parameters[0].data[column] + parameters[1].data[column]
      }
    }
    return [y]
  }

  /// Tasks are rows.
  public func run(_ call: KernelCall) {
    // SAFETY: shapes were checked when the node was made; parts are disjoint rows.
    let (x, y) = unsafe (call.floats(0), call.result())
    let (gain, bias) = unsafe (call.parameter(0).vector, call.parameter(1).vector)
    let width = call.outputTypes[0].shape.columns
    let kernels = unsafe call.kernels
    call.split(call.outputTypes[0].shape.rows, grain: 32) { part, _ in
      let at = part.lowerBound * width
      unsafe kernels.layer_norm(
        x + at,
        gain,
        bias,
        y + at,
        Int64(part.count),
        Int64(width),
        epsilon
      )
    }
  }
}
