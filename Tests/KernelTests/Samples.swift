// Apache-2.0.
import CKernels
import Tensors
import Testing

/// Reproducible operands for kernels.
enum Samples {
  /// Every instruction set that this machine has, the scalar one among them.
  static let sets: [InstructionSet] = InstructionSet.allCases.filter { KernelTable($0) != nil }

  /// The sets that are compared with the scalar one.
  static let vectorSets: [InstructionSet] = sets.filter { $0 != .scalar }

  /// A value in (−1, 1) that looks like noise.
  static func value(_ index: Int, seed: Int) -> Float {
    var x = UInt64(truncatingIfNeeded: index &* 0x9E37_79B9 &+ seed &* 0x85EB_CA6B &+ 1)
    x ^= x >> 33
    x &*= 0xFF51_AFD7_ED55_8CCD
    x ^= x >> 33
    return Float(Int64(x >> 40) - (1 << 23)) / Float(1 << 23)
  }

  /// `count` values times `scale`.
  static func floats(_ count: Int, seed: Int, scale: Float = 1) -> AlignedBuffer {
    let buffer = AlignedBuffer(floats: count)
    for i in 0..<count { unsafe buffer.floats[i] = value(i, seed: seed) * scale }
    return buffer
  }

  /// `count` values in a stored type.
  static func stored(_ count: Int, type: ElementType, seed: Int) -> AlignedBuffer {
    guard type != .f32 else { return floats(count, seed: seed) }
    if type == .i8 {
      let buffer = AlignedBuffer(byteCount: count)
      let bytes = unsafe buffer.baseAddress.assumingMemoryBound(to: Int8.self)
      for i in 0..<count { unsafe bytes[i] = Int8(value(i, seed: seed) * 127) }
      return buffer
    }
    let buffer = AlignedBuffer(byteCount: count * 2)
    let words = unsafe buffer.baseAddress.assumingMemoryBound(to: UInt16.self)
    for i in 0..<count {
      let x = value(i, seed: seed)
      unsafe words[i] =
        type == .f16 ? Float16(x).bitPattern : UInt16(truncatingIfNeeded: x.bitPattern >> 16)
    }
    return buffer
  }

  /// Sign bits for `count` elements from `offset`, noise before and none after them.
  static func signs(offset: Int, count: Int, seed: Int) -> AlignedBuffer {
    let buffer = AlignedBuffer(byteCount: (offset + count + 63) / 64 * 8)
    for bit in 0..<offset + count where value(bit, seed: seed) < 0 {
      unsafe buffer.words[bit >> 6] |= 1 << UInt64(bit & 63)
    }
    return buffer
  }
}

/// A weight with what it points to.
@safe final class SampleWeight {
  // SAFETY: `view` points into the buffers that this object keeps.
  let data: AlignedBuffer
  let signs: AlignedBuffer?
  /// A scale for each row, of integers.
  let scales: AlignedBuffer?
  let view: samara_weight
  /// What the weight means: [rows × columns].
  let values: [Float]

  /// `offset`: bit of the first element where perturbed; `padding`: elements between rows.
  init(
    rows: Int,
    columns: Int,
    type: ElementType = .f32,
    offset: Int? = nil,
    padding: Int = 0,
    seed: Int
  ) {
    let stride = columns + padding
    data = Samples.stored(rows * stride, type: type, seed: seed)
    signs = offset.map { Samples.signs(offset: $0, count: rows * columns, seed: seed + 1) }
    scales = type == .i8 ? Samples.floats(rows, seed: seed + 2, scale: 1.0 / 64) : nil
    var view = unsafe samara_weight()
    unsafe view.row_scales = scales.flatMap { unsafe UnsafePointer($0.floats.baseAddress) }
    unsafe view.data = UnsafeRawPointer(data.baseAddress)
    unsafe view.signs = signs.flatMap { unsafe UnsafePointer($0.words.baseAddress) }
    unsafe view.sign_offset = Int64(offset ?? 0)
    unsafe view.rows = Int64(rows)
    unsafe view.columns = Int64(columns)
    unsafe view.row_stride = Int64(stride)
    unsafe view.epsilon = 0.03125
    unsafe view.element_type = Int32(type.rawValue)
    unsafe self.view = view
    var values: [Float] = []
    for row in 0..<rows {
      for column in 0..<columns {
        let i = row * stride + column
        let bits = unsafe data.baseAddress.assumingMemoryBound(to: UInt16.self)
        var value: Float
        switch type {
        case .f32: value = unsafe data.floats[i]
        case .f16: value = unsafe Float(Float16(bitPattern: bits[i]))
        case .bf16: value = unsafe Float(bitPattern: UInt32(bits[i]) << 16)
        case .i8:
          let byte = unsafe data.baseAddress.load(fromByteOffset: i, as: Int8.self)
          value = unsafe Float(byte) * (scales?.floats[row] ?? 0)
        }
        if let signs, let offset {
          let bit = offset + row * columns + column
          let minus = unsafe signs.words[bit >> 6] >> UInt64(bit & 63) & 1 == 1
          value += minus ? -0.03125 : 0.03125
        }
        values.append(value)
      }
    }
    self.values = values
  }
}

extension SampleWeight {
  /// The weight packed whole, between bytes that packing must leave alone.
  func panels(_ kernels: samara_kernel_table, _ panels: samara_panels) -> AlignedBuffer {
    let kind = Int32(panels.rawValue)
    let count = unsafe kernels.panel_bytes(kind, view.rows, view.columns)
    let packed = AlignedBuffer(byteCount: count + 64)
    // SAFETY: as many bytes as the kernel says it writes, and 64 more.
    let end = unsafe packed.baseAddress + count
    unsafe end.initializeMemory(as: UInt8.self, repeating: 0x5A, count: 64)
    var weight = unsafe view
    unsafe kernels.pack_panels(kind, &weight, packed.baseAddress)
    for offset in 0..<64 {
      #expect(unsafe end.load(fromByteOffset: offset, as: UInt8.self) == 0x5A)
    }
    return packed
  }
}
