// Apache-2.0.
import CKernels
import Tensors

/// How frozen matrices are held while others train.
public enum FrozenWeights: String, Sendable, Hashable, CaseIterable {
  /// As the checkpoint has them, mapped from its file.
  case stored
  /// Two bytes an element, in memory of their own; what is stored in 16 bits stays mapped.
  case bf16
  /// One byte an element and a scale a row, that is for each output of a layer, in memory of their own.
  case int8
}

extension WeightTable {
  /// Bytes of tensors that cannot change, mapped ones too, if matrices were held so.
  public func frozenBytes(held frozen: FrozenWeights) -> Int {
    entries.reduce(0) { sum, entry in
      entry.start == nil ? sum + entry.tensor.byteCount(held: frozen) : sum
    }
  }
}

extension StoredTensor {
  /// Bytes of the tensor as `frozen` says.
  fileprivate func byteCount(held frozen: FrozenWeights) -> Int {
    let count = shape.elementCount
    let stored = count * type.byteCount + (rowScales?.byteCount ?? 0)
    guard shape.rank == 2 else { return stored }
    return switch frozen {
    case .bf16 where type == .f32: 2 * count
    case .int8 where type != .i8: count + 4 * shape.rows
    case .stored, .bf16, .int8: stored
    }
  }

  /// The tensor as `frozen` says; vectors, and what would not become smaller, as it is.
  ///
  /// Pages of the file that were read for it are given back.
  public func held(_ frozen: FrozenWeights) -> StoredTensor {
    guard shape.rank == 2 else { return self }
    switch frozen {
    case .bf16 where type == .f32: return narrowed()
    case .int8 where type != .i8: return quantized()
    case .stored, .bf16, .int8: return self
    }
  }

  /// The same matrix in one byte an element: integers of −127 … 127 and a scale for each row, the
  /// largest magnitude of a row at 127.
  public func quantized() -> StoredTensor {
    precondition(shape.rank <= 2, "\(shape) is no matrix")
    let integers = AlignedBuffer(byteCount: shape.elementCount)
    let scales = AlignedBuffer(floats: shape.rows)
    // SAFETY: one byte an element, one scale a row; both are filled before they are shared.
    let target = unsafe integers.baseAddress.assumingMemoryBound(to: Int8.self)
    var weight = unsafe self.weight
    eachPart { rows in
      unsafe KernelTable.current.kernels.pointee.quantize_rows(
        &weight,
        Int64(rows.lowerBound),
        Int64(rows.upperBound),
        target + rows.lowerBound * shape.columns,
        scales.floats.baseAddress.map { unsafe $0 + rows.lowerBound }
      )
    }
    return StoredTensor(shape: shape, integers: integers, rowScales: scales)
  }

  /// The same floats in their upper halves, rounded to the nearest, ties to even.
  func narrowed() -> StoredTensor {
    precondition(type == .f32, "\(type) is narrow already")
    let halves = AlignedBuffer(byteCount: 2 * shape.elementCount)
    // SAFETY: as many elements as the shape has, read as what they are, written before they are shared.
    let source = unsafe bytes.assumingMemoryBound(to: UInt32.self)
    let target = unsafe halves.baseAddress.assumingMemoryBound(to: UInt16.self)
    eachPart { rows in
      for index in rows.lowerBound * shape.columns..<rows.upperBound * shape.columns {
        let bits = unsafe source[index]
        // What is no number keeps a bit that says so.
        let isNaN = bits & 0x7FFF_FFFF > 0x7F80_0000
        let rounded = isNaN ? bits | 0x0040_0000 : bits &+ 0x7FFF &+ (bits >> 16 & 1)
        unsafe target[index] = UInt16(truncatingIfNeeded: rounded >> 16)
      }
    }
    return unsafe StoredTensor(
      shape: shape,
      type: .bf16,
      bytes: UnsafeRawPointer(halves.baseAddress),
      owner: halves
    )
  }

  /// The matrix turned, in memory of its own.
  public func transposed() -> StoredTensor {
    precondition(shape.rank == 2 && rowScales == nil, "\(shape) of \(type) is not turned")
    let buffer = AlignedBuffer(byteCount: shape.elementCount * type.byteCount)
    switch type.byteCount {
    case 2: unsafe turn(into: buffer.baseAddress.assumingMemoryBound(to: UInt16.self))
    default: unsafe turn(into: buffer.baseAddress.assumingMemoryBound(to: UInt32.self))
    }
    release(0..<shape.elementCount)
    return unsafe StoredTensor(
      shape: [shape.columns, shape.rows],
      type: type,
      bytes: UnsafeRawPointer(buffer.baseAddress),
      owner: buffer
    )
  }

  @unsafe private func turn<Element>(into target: UnsafeMutablePointer<Element>) {
    // SAFETY: both sides have as many elements as the shape; their size is the type's.
    let source = unsafe bytes.assumingMemoryBound(to: Element.self)
    let (rows, columns, edge) = (shape.rows, shape.columns, 32)
    // Squares, so that either side stays within a few pages at a time.
    for top in stride(from: 0, to: rows, by: edge) {
      for left in stride(from: 0, to: columns, by: edge) {
        for row in top..<min(rows, top + edge) {
          for column in left..<min(columns, left + edge) {
            unsafe target[column * rows + row] = source[row * columns + column]
          }
        }
      }
    }
  }

  /// Calls `body` with some rows at a time, and gives their pages of the file back.
  private func eachPart(_ body: (_ rows: Range<Int>) -> Void) {
    let count = max(1, (1 << 20) / max(1, shape.columns))
    for start in stride(from: 0, to: shape.rows, by: count) {
      let rows = start..<min(shape.rows, start + count)
      body(rows)
      release(rows.lowerBound * shape.columns..<rows.upperBound * shape.columns)
    }
  }

  /// Bytes in memory of its own; 0 of a mapped file's.
  var heldBytes: Int {
    isMapped ? 0 : shape.elementCount * type.byteCount + (rowScales?.byteCount ?? 0)
  }

  /// The elements, widened.
  public var floats: [Float] {
    let buffer = widened()
    // SAFETY: the copy is made while `buffer` lives.
    return unsafe Array(buffer.floats.prefix(shape.elementCount))
  }

  func widened() -> AlignedBuffer {
    let buffer = AlignedBuffer(floats: shape.elementCount)
    // SAFETY: all rows, as many elements as the buffer has floats.
    var weight = unsafe self.weight
    unsafe KernelTable.current.kernels.pointee.materialize(
      &weight,
      0,
      weight.rows,
      buffer.baseAddress.assumingMemoryBound(to: Float.self)
    )
    return buffer
  }
}
