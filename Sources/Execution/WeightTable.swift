// Apache-2.0.
import CKernels
import Glibc
public import Tensors

/// A tensor as stored: bytes that stay where they are as long as their owner lives.
@safe public struct StoredTensor: @unchecked Sendable {
  // SAFETY: read-only bytes, kept alive by `owner`.

  /// Extents.
  public let shape: Shape
  /// How an element is stored.
  public let type: ElementType
  let bytes: UnsafeRawPointer
  /// What the elements of each row are multiplied by, of integers.
  let rowScales: AlignedBuffer?
  private let owner: any AnyObject & Sendable
  let isMapped: Bool

  /// `bytes` hold the elements, aligned for their type, while `owner` lives.
  ///
  /// - Parameter isMapped: whether the bytes are those of a mapped file that nobody writes to.
  @unsafe public init(
    shape: Shape,
    type: ElementType,
    bytes: UnsafeRawPointer,
    owner: any AnyObject & Sendable,
    isMapped: Bool = false
  ) {
    self.isMapped = isMapped
    self.shape = shape
    self.type = type
    unsafe self.bytes = bytes
    rowScales = nil
    self.owner = owner
  }

  /// A tensor of floats of its own.
  public init(shape: Shape, floats: [Float]) {
    precondition(floats.count == shape.elementCount, "\(floats.count) elements for \(shape)")
    let buffer = AlignedBuffer(floats: floats.count)
    for (index, value) in floats.enumerated() { unsafe buffer.floats[index] = value }
    unsafe self.init(shape: shape, type: .f32, bytes: buffer.baseAddress, owner: buffer)
  }

  init(shape: Shape, integers: AlignedBuffer, rowScales: AlignedBuffer) {
    self.shape = shape
    type = .i8
    unsafe bytes = UnsafeRawPointer(integers.baseAddress)
    self.rowScales = rowScales
    owner = integers
    isMapped = false
  }

  /// The matrix as kernels read it; a vector is one row.
  @unsafe var weight: samara_weight {
    var weight = unsafe samara_weight()
    unsafe weight.data = bytes
    unsafe weight.rows = Int64(shape.rows)
    unsafe weight.columns = Int64(shape.columns)
    unsafe weight.row_stride = weight.columns
    unsafe weight.element_type = Int32(type.rawValue)
    unsafe weight.row_scales = rowScales.flatMap { unsafe UnsafePointer($0.floats.baseAddress) }
    return unsafe weight
  }
}

extension StoredTensor {
  /// Lets the system have back the memory of some elements of a mapped file, until they are read
  /// again.
  func release(_ elements: Range<Int>) {
    guard isMapped, !elements.isEmpty else { return }
    let page = Int(getpagesize())
    let first = unsafe UInt(bitPattern: bytes) + UInt(elements.lowerBound * type.byteCount)
    let last = first + UInt(elements.count * type.byteCount)
    let start = first / UInt(page) * UInt(page)
    // SAFETY: pages that hold bytes of the file; dropped, they are read from it again. Advice may fail.
    unsafe madvise(
      UnsafeMutableRawPointer(bitPattern: start),
      Int(last - start),
      MADV_DONTNEED
    )
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
      precondition(!trains || tensor.type != .i8, "\(name) trains: integers would stay behind")
      let isWidened = !trains && tensor.shape.rank == 1 && tensor.type != .f32
      entries.append(
        Entry(
          name: name,
          tensor: tensor,
          start: trains ? next : nil,
          widened: isWidened ? tensor.widened() : nil
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
    positions[name].map { entries[$0].tensor.floats }
  }

  /// Bytes held beside the mapped files.
  public var byteCount: Int {
    entries.reduce(0) { $0 + ($1.widened?.byteCount ?? 0) + $1.tensor.heldBytes }
  }

  /// Bytes of tensors that cannot change, beside the mapped files.
  public var frozenBytes: Int {
    entries.reduce(0) { $0 + ($1.start == nil ? $1.tensor.heldBytes : 0) }
  }

  func position(_ name: String) -> Int? { positions[name] }
}
