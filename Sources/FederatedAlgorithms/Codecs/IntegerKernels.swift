// Apache-2.0.
import CKernels

/// The kernels of dense integers on spans; lengths are checked here once a call.
enum IntegerKernels {
  private static var table: samara_kernel_table { unsafe samara_kernels().pointee }

  /// The largest |amount|; amounts are above −2^31.
  static func largestMagnitude(_ amounts: Span<Int32>) -> Int32 {
    unsafe amounts.withUnsafeBufferPointer { buffer in
      buffer.isEmpty ? 0 : unsafe table.largest_magnitude(buffer.baseAddress, Int64(buffer.count))
    }
  }

  /// Σ amount², in binary64, in an order of its own that no machine changes.
  static func squaredNorm(_ amounts: Span<Int32>) -> Double {
    unsafe amounts.withUnsafeBufferPointer { buffer in
      buffer.isEmpty ? 0 : unsafe table.squared_norm_i32(buffer.baseAddress, Int64(buffer.count))
    }
  }

  /// The amounts of floats in units of 2^−exponent, nearest, within ±bound; nil where one of them is
  /// not finite.
  static func fixedPoint(_ values: [Float], exponent: Int, bound: Int32) -> [Int32]? {
    var refused: Int64 = 0
    let amounts = unsafe [Int32](unsafeUninitializedCapacity: values.count) { buffer, count in
      // SAFETY: as many amounts as values.
      refused = unsafe table.fixed_point(
        values,
        Int64(values.count),
        Int32(exponent),
        bound,
        buffer.baseAddress
      )
      count = values.count
    }
    return refused == 0 ? amounts : nil
  }

  /// amounts ← amounts + more, within ±bound.
  static func add(_ more: Span<Int32>, to amounts: inout MutableSpan<Int32>, bound: Int32) {
    precondition(more.count == amounts.count)
    unsafe amounts.withUnsafeMutableBufferPointer { target in
      unsafe more.withUnsafeBufferPointer { source in
        unsafe table.add_bounded(
          target.baseAddress,
          source.baseAddress,
          Int64(target.count),
          bound
        )
      }
    }
  }

  /// a − b, which fits.
  static func difference(_ a: [Int32], _ b: [Int32]) -> [Int32] {
    precondition(a.count == b.count)
    let size = DeltaCodec.chunkSize
    return unsafe [Int32](unsafeUninitializedCapacity: a.count) { buffer, count in
      count = a.count
      guard let target = buffer.baseAddress else { return }
      // SAFETY: each chunk has elements of its own, as many of all three.
      unsafe a.withUnsafeBufferPointer { a in
        unsafe b.withUnsafeBufferPointer { b in
          guard let a = a.baseAddress, let b = b.baseAddress else { return }
          ChunkTeam.run((count + size - 1) / size) { chunk in
            let start = chunk * size
            let length = Int64(min(size, count - start))
            unsafe table.subtract_i32(a + start, b + start, length, target + start)
          }
        }
      }
    }
  }

  /// sums ← sums + amounts · factor.
  static func accumulate(
    _ amounts: Span<Int32>,
    factor: Int32,
    into sums: inout MutableSpan<Int64>
  ) {
    precondition(amounts.count == sums.count)
    unsafe sums.withUnsafeMutableBufferPointer { target in
      unsafe amounts.withUnsafeBufferPointer { source in
        unsafe table.accumulate_scaled(
          target.baseAddress,
          source.baseAddress,
          Int64(target.count),
          factor
        )
      }
    }
  }

  /// sums[i] ← Σ_r rows[r · stride + i] without the `dropped` least and greatest of each i.
  static func trimmedSums(
    _ rows: [Int32],
    stride: Int,
    dropped: Int,
    into sums: inout MutableSpan<Int64>
  ) {
    let count = sums.count
    let rowCount = rows.count / max(1, stride)
    precondition(rows.count == rowCount * stride && count <= stride && 2 * dropped < rowCount)
    var scratch = [Int32](repeating: 0, count: 16 * rowCount)
    unsafe sums.withUnsafeMutableBufferPointer { target in
      unsafe table.trimmed_sums(
        rows,
        Int64(stride),
        Int32(rowCount),
        Int64(count),
        Int32(dropped),
        target.baseAddress,
        &scratch
      )
    }
  }

  /// codes ← amounts / 2^shift, nearest; amounts ← what is left.
  static func shiftCodes(
    _ amounts: inout MutableSpan<Int32>,
    shift: Int,
    into codes: inout MutableSpan<Int32>
  ) {
    precondition(amounts.count == codes.count)
    unsafe amounts.withUnsafeMutableBufferPointer { source in
      unsafe codes.withUnsafeMutableBufferPointer { target in
        unsafe table.shift_codes(
          source.baseAddress,
          Int64(source.count),
          Int32(shift),
          target.baseAddress
        )
      }
    }
  }

  /// bytes[from...] ← planes of the zigzag codes.
  static func splitPlanes(
    _ codes: Span<Int32>,
    planes: Int,
    into bytes: inout [UInt8],
    from: Int
  ) {
    precondition(bytes.count == from + planes * codes.count)
    unsafe bytes.withUnsafeMutableBufferPointer { target in
      unsafe codes.withUnsafeBufferPointer { source in
        unsafe table.split_planes(
          source.baseAddress,
          Int64(source.count),
          Int32(planes),
          target.baseAddress.map { unsafe $0 + from }
        )
      }
    }
  }

  /// amounts ← bytes[from...], planes of zigzag codes, times 2^shift.
  static func joinPlanes(
    _ bytes: [UInt8],
    from: Int,
    planes: Int,
    shift: Int,
    into amounts: inout MutableSpan<Int32>
  ) {
    precondition(bytes.count == from + planes * amounts.count)
    unsafe amounts.withUnsafeMutableBufferPointer { target in
      unsafe bytes.withUnsafeBufferPointer { source in
        unsafe table.join_planes(
          source.baseAddress.map { unsafe $0 + from },
          Int64(target.count),
          Int32(planes),
          Int32(shift),
          target.baseAddress
        )
      }
    }
  }

  /// codes ← amounts / step, nearest, within ±limit; amounts ← what is left.
  static func quantize(
    _ amounts: inout MutableSpan<Int32>,
    step: Int32,
    limit: Int32,
    into codes: inout MutableSpan<Int8>
  ) {
    precondition(amounts.count == codes.count && step > 0)
    unsafe amounts.withUnsafeMutableBufferPointer { source in
      unsafe codes.withUnsafeMutableBufferPointer { target in
        unsafe table.quantize_codes(
          source.baseAddress,
          Int64(source.count),
          step,
          limit,
          target.baseAddress
        )
      }
    }
  }

  /// amounts ← codes · step.
  static func expand(_ codes: Span<Int8>, step: Int32, into amounts: inout MutableSpan<Int32>) {
    precondition(amounts.count == codes.count)
    unsafe amounts.withUnsafeMutableBufferPointer { target in
      unsafe codes.withUnsafeBufferPointer { source in
        unsafe table.expand_codes(
          source.baseAddress,
          Int64(source.count),
          step,
          target.baseAddress
        )
      }
    }
  }

  /// bytes[from...] ← codes of 8 or 4 bits.
  static func store(_ codes: Span<Int8>, bits: Int, into bytes: inout [UInt8], from: Int) {
    precondition(bytes.count == from + (bits == 8 ? codes.count : (codes.count + 1) / 2))
    unsafe bytes.withUnsafeMutableBufferPointer { target in
      unsafe codes.withUnsafeBufferPointer { source in
        guard let to = target.baseAddress, let first = source.baseAddress else {
          return
        }
        if bits == 8 {
          unsafe UnsafeMutableRawPointer(to + from).copyMemory(from: first, byteCount: source.count)
        } else {
          unsafe table.pack_nibbles(first, Int64(source.count), to + from)
        }
      }
    }
  }

  /// codes ← bytes[from...], 8 or 4 bits each.
  static func load(_ bytes: [UInt8], from: Int, bits: Int, into codes: inout MutableSpan<Int8>) {
    precondition(bytes.count == from + (bits == 8 ? codes.count : (codes.count + 1) / 2))
    unsafe codes.withUnsafeMutableBufferPointer { target in
      unsafe bytes.withUnsafeBufferPointer { source in
        guard let to = target.baseAddress, let first = source.baseAddress else {
          return
        }
        if bits == 8 {
          unsafe UnsafeMutableRawPointer(to).copyMemory(from: first + from, byteCount: target.count)
        } else {
          unsafe table.unpack_nibbles(first + from, Int64(target.count), to)
        }
      }
    }
  }
}
