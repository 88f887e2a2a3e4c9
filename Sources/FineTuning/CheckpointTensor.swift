// Apache-2.0.
import Execution
import GraphCompiler
import ModelFiles
import Models
import Tensors

extension Checkpoint {
  /// Whether there is all a parameter of a family is made of.
  func holds(_ name: String, of family: any ModelFamily) -> Bool {
    family.foldedNorm(name).map { contains($0.weight) } ?? contains(name)
  }

  /// A parameter of a family as graphs read it.
  ///
  /// - Parameter named: the name it has here, where that is another.
  /// - Throws: `ModelError.tensorShape`, or `ModelFileError` where the tensor cannot be read.
  func tensor(
    _ parameter: Parameter,
    of family: any ModelFamily,
    named other: String? = nil
  ) throws -> StoredTensor {
    let (name, shape) = (parameter.name, parameter.shape)
    if let norm = family.foldedNorm(name) { return try folded(norm, parameter, family) }
    guard family.isTransposed(name) else {
      return try stored(other ?? name, shape, extents: family.storedShape(name, shape))
    }
    let turned: Shape = [shape[1], shape[0]]
    return try stored(other ?? name, turned, extents: turned).transposed()
  }

  /// The bytes of a tensor with `extents` in the file, read as `shape`.
  private func stored(_ name: String, _ shape: Shape, extents: Shape) throws -> StoredTensor {
    let entry = try entry(name)
    guard entry.shape == extents.dimensions else {
      throw ModelError.tensorShape(
        name: name,
        expected: "\(extents)",
        found: "\(Shape(entry.shape))"
      )
    }
    let bytes = try bytes(of: name)
    // SAFETY: the bytes hold the entry's elements, aligned, while `bytes` lives, and the tensor keeps
    // it alive. An empty tensor has no address; nothing reads from it.
    guard let address = unsafe bytes.bytes.baseAddress else {
      return StoredTensor(shape: shape, floats: [])
    }
    return unsafe StoredTensor(
      shape: shape,
      type: try entry.elementType(),
      bytes: address,
      owner: bytes,
      isMapped: bytes.copiedBytes == 0
    )
  }

  /// A convolution's weight or bias with the batch norm behind it, in binary64 and rounded once.
  private func folded(
    _ norm: FoldedNorm,
    _ parameter: Parameter,
    _ family: any ModelFamily
  ) throws -> StoredTensor {
    let channels: Shape = [parameter.shape[0]]
    func vector(_ name: String) throws -> [Double] {
      try stored(name, channels, extents: channels).floats.map(Double.init)
    }
    let (gain, variance) = (try vector(norm.gain), try vector(norm.variance))
    let scales = zip(gain, variance).map { $0 / ($1 + norm.epsilon).squareRoot() }
    guard scales.allSatisfy(\.isFinite) else {
      throw ModelError.configuration("the variance of \(norm.variance) is below zero")
    }
    if norm.isWeight {
      let extents = family.storedShape(parameter.name, parameter.shape)
      let weight = try stored(norm.weight, parameter.shape, extents: extents).floats
      let size = parameter.shape.elementCount / channels[0]
      let made = weight.enumerated().map { Float(Double($1) * scales[$0 / size]) }
      return StoredTensor(shape: parameter.shape, floats: made)
    }
    let (mean, bias) = (try vector(norm.mean), try vector(norm.bias))
    let own = try norm.convolutionBias.map(vector)
    let made = scales.indices.map { Float(((own?[$0] ?? 0) - mean[$0]) * scales[$0] + bias[$0]) }
    return StoredTensor(shape: channels, floats: made)
  }
}
