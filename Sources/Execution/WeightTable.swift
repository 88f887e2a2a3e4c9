// Apache-2.0.
import CKernels
public import Tensors

/// A tensor as stored: bytes that stay where they are as long as their owner lives.
@safe public struct StoredTensor: @unchecked Sendable {
  // SAFETY: read-only bytes, kept alive by `owner`.

  /// Extents.
  public let shape: Shape
  /// How an element is stored.
  public let type: ElementType
  let bytes: UnsafeRawPointer
  private let owner: any AnyObject & Sendable

  /// `bytes` hold the elements, aligned for their type, while `owner` lives.
  @unsafe public init(
    shape: Shape,
    type: ElementType,
    bytes: UnsafeRawPointer,
    owner: any AnyObject & Sendable
  ) {
    self.shape = shape
    self.type = type
    unsafe self.bytes = bytes
    self.owner = owner
  }

  /// A tensor of floats of its own.
  public init(shape: Shape, floats: [Float]) {
    precondition(floats.count == shape.elementCount, "\(floats.count) elements for \(shape)")
    let buffer = AlignedBuffer(floats: floats.count)
    for (index, value) in floats.enumerated() { unsafe buffer.floats[index] = value }
    unsafe self.init(shape: shape, type: .f32, bytes: buffer.baseAddress, owner: buffer)
  }
}

/// The base weights of a model, shared by everybody who works with it, and which of them can change.
///
/// Canonical order: names bytewise. Trainable element p of the model is counted through the
/// trainable tensors in this order, row-major.
public final class WeightTable: Sendable {
  struct Entry: Sendable {
    let name: String
    let tensor: StoredTensor
    /// The first trainable element, nil for frozen tensors.
    let start: Int?
    /// Frozen vectors stored in 16 bits, widened once.
    let widened: AlignedBuffer?
  }

  let entries: [Entry]
  private let positions: [String: Int]
  /// Trainable scalars, d.
  public let trainableCount: Int

  /// A table of tensors by name.
  public init(_ tensors: [String: StoredTensor], isTrainable: (String) -> Bool) {
    var entries: [Entry] = []
    var next = 0
    for (name, tensor) in tensors.sorted(by: {
      $0.key.utf8.lexicographicallyPrecedes($1.key.utf8)
    }) {
      let trains = isTrainable(name)
      let isWidened = !trains && tensor.shape.rank == 1 && tensor.type != .f32
      entries.append(
        Entry(
          name: name,
          tensor: tensor,
          start: trains ? next : nil,
          widened: isWidened ? Self.widened(tensor) : nil
        )
      )
      if trains { next += tensor.shape.elementCount }
    }
    self.entries = entries
    positions = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
    trainableCount = next
  }

  /// Names of the trainable tensors with their shapes, in canonical order.
  public var trainable: [(name: String, shape: Shape)] {
    entries.filter { $0.start != nil }.map { ($0.name, $0.tensor.shape) }
  }

  /// Names and shapes of all tensors, in canonical order.
  public var shapes: [(name: String, shape: Shape)] {
    entries.map { ($0.name, $0.tensor.shape) }
  }

  /// Base elements of a tensor, widened.
  public func floats(of name: String) -> [Float]? {
    guard let position = positions[name] else { return nil }
    let tensor = entries[position].tensor
    // SAFETY: the copy is made while `buffer` lives.
    let buffer = Self.widened(tensor)
    return unsafe Array(buffer.floats.prefix(tensor.shape.elementCount))
  }

  /// Bytes held beside the stored tensors.
  public var byteCount: Int { entries.reduce(0) { $0 + ($1.widened?.byteCount ?? 0) } }

  func position(_ name: String) -> Int? { positions[name] }

  private static func widened(_ tensor: StoredTensor) -> AlignedBuffer {
    let buffer = AlignedBuffer(floats: tensor.shape.elementCount)
    // SAFETY: one row of as many columns as the buffer has floats.
    var weight = unsafe samara_weight()
    unsafe weight.data = tensor.bytes
    unsafe weight.rows = 1
    unsafe weight.columns = Int64(tensor.shape.elementCount)
    unsafe weight.row_stride = weight.columns
    unsafe weight.element_type = Int32(tensor.type.rawValue)
    unsafe KernelTable.current.kernels.pointee.materialize(
      &weight,
      0,
      1,
      buffer.baseAddress.assumingMemoryBound(to: Float.self)
    )
    return buffer
  }
}
