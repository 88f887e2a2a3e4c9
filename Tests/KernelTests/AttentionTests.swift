// Apache-2.0.
import CKernels
import Tensors
import Testing

@Suite("Attention and loss kernels, against the scalar set")
struct AttentionTests {
  /// Output of one head by `set`, `queries` rows from `first` on.
  private func attention(
    _ set: InstructionSet,
    first: Int,
    queries: Int,
    keys: Int,
    dimension: Int,
    isCausal: Bool
  ) throws -> [Float] {
    let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
    let total = first + queries
    let stride = dimension + 5
    let q = Samples.floats(max(total, keys) * stride, seed: 1, scale: 2)
    let k = Samples.floats(max(total, keys) * stride, seed: 2, scale: 2)
    let v = Samples.floats(max(total, keys) * stride, seed: 3)
    let output = AlignedBuffer(floats: total * stride)
    let scratchBytes = kernels.attention_scratch_bytes(
      Int64(total),
      Int64(keys),
      Int64(dimension)
    )
    let scratch = AlignedBuffer(byteCount: scratchBytes + 64)
    let end = unsafe scratch.baseAddress + scratchBytes
    unsafe end.storeBytes(of: 0x5A5A_5A5A, as: UInt32.self)
    var call = unsafe samara_attention_args()
    unsafe call.query = UnsafePointer(q.floats.baseAddress)
    unsafe call.key = UnsafePointer(k.floats.baseAddress)
    unsafe call.value = UnsafePointer(v.floats.baseAddress)
    unsafe call.query_stride = Int64(stride)
    unsafe call.key_stride = Int64(stride)
    unsafe call.value_stride = Int64(stride)
    unsafe call.output = output.floats.baseAddress
    unsafe call.output_stride = Int64(stride)
    unsafe call.query_count = Int64(total)
    unsafe call.key_length = Int64(keys)
    unsafe call.head_dimension = Int64(dimension)
    unsafe call.causal = isCausal ? 1 : 0
    unsafe call.scale = 0.3
    unsafe call.scratch = scratch.baseAddress
    unsafe kernels.attention(&call)
    #expect(unsafe end.load(as: UInt32.self) == 0x5A5A_5A5A, "scratch overrun")
    return (first..<total).flatMap { row in
      (0..<dimension).map { unsafe output.floats[row * stride + $0] }
    }
  }

  @Test(
    "Attention agrees",
    arguments: [1, 2, 5, 14, 15, 33, 64, 100],
    [1, 4, 7, 16, 32, 40, 64, 80]
  )
  func attends(length: Int, dimension: Int) throws {
    for (isCausal, keys) in [(true, length), (false, length), (false, max(1, length / 2))] {
      let wanted = try attention(
        .scalar,
        first: 0,
        queries: length,
        keys: keys,
        dimension: dimension,
        isCausal: isCausal
      )
      for set in Samples.vectorSets {
        let got = try attention(
          set,
          first: 0,
          queries: length,
          keys: keys,
          dimension: dimension,
          isCausal: isCausal
        )
        let worst = zip(got, wanted).map { abs($0 - $1) }.max() ?? 0
        #expect(worst <= 3e-6, "\(set) \(worst)")
      }
    }
  }

  /// Losses and predictions by `set`, in ranges of `rows`.
  private func losses(
    _ set: InstructionSet,
    _ weight: SampleWeight,
    rows: Int,
    classes: Int,
    inputs: Int,
    step: Int,
    packed: Bool
  ) throws -> ([Float], [Int32]) {
    let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
    let hidden = Samples.floats(rows * inputs, seed: 5)
    let bias = Samples.floats(classes, seed: 6)
    let labels = (0..<rows).map { Int32($0 % 4 == 3 ? -1 : $0 * 13 % classes) }
    let result = AlignedBuffer(floats: rows)
    var predictions = [Int32](repeating: -7, count: rows)
    let bytes = kernels.cross_entropy_scratch_bytes(
      Int64(rows),
      Int64(classes),
      Int64(inputs)
    )
    let scratch = AlignedBuffer(byteCount: bytes + 64)
    let end = unsafe scratch.baseAddress + bytes
    unsafe end.storeBytes(of: 0x5A5A_5A5A, as: UInt32.self)
    let panels = AlignedBuffer(byteCount: kernels.packed_bytes(Int64(classes), Int64(inputs)))
    var call = unsafe samara_cross_entropy_args()
    unsafe call.hidden = UnsafePointer(hidden.floats.baseAddress)
    unsafe call.hidden_stride = Int64(inputs)
    unsafe call.weight = weight.view
    if packed {
      unsafe kernels.pack_weight(&call.weight, 0, Int64(classes), panels.baseAddress)
      unsafe call.packed = UnsafeRawPointer(panels.baseAddress)
    }
    unsafe call.bias = UnsafePointer(bias.floats.baseAddress)
    unsafe call.losses = result.floats.baseAddress
    unsafe call.scratch = scratch.baseAddress
    unsafe labels.withUnsafeBufferPointer { labels in
      unsafe predictions.withUnsafeMutableBufferPointer { predictions in
        unsafe call.labels = labels.baseAddress
        unsafe call.predictions = predictions.baseAddress
        for row in stride(from: 0, to: rows, by: step) {
          unsafe call.m_begin = Int64(row)
          unsafe call.m_end = Int64(min(rows, row + step))
          unsafe kernels.cross_entropy(&call)
        }
      }
    }
    #expect(unsafe end.load(as: UInt32.self) == 0x5A5A_5A5A, "scratch overrun")
    return (unsafe Array(result.floats.prefix(rows)), predictions)
  }

  @Test(
    "Losses and predictions agree, and ranges change no bit",
    arguments: [
      (1, 1, 1), (3, 2, 5), (20, 33, 17), (300, 65, 40), (31, 500, 100), (9, 40, 900),
    ]
  )
  func losses(rows: Int, classes: Int, inputs: Int) throws {
    for offset in [nil, 5] {
      let weight = SampleWeight(rows: classes, columns: inputs, offset: offset, seed: 8)
      let wanted = try losses(
        .scalar,
        weight,
        rows: rows,
        classes: classes,
        inputs: inputs,
        step: rows,
        packed: false
      )
      for set in Samples.vectorSets {
        let got = try losses(
          set,
          weight,
          rows: rows,
          classes: classes,
          inputs: inputs,
          step: rows,
          packed: false
        )
        let worst = zip(got.0, wanted.0).map { abs($0 - $1) / max(1, abs($1)) }.max() ?? 0
        #expect(worst <= 2e-5, "\(set) \(worst)")
        #expect(got.1 == wanted.1, "\(set)")
        for step in [1, 7, 64] {
          let parts = try losses(
            set,
            weight,
            rows: rows,
            classes: classes,
            inputs: inputs,
            step: step,
            packed: offset == nil
          )
          #expect(parts.0.map(\.bitPattern) == got.0.map(\.bitPattern), "\(set), ranges of \(step)")
          #expect(parts.1 == got.1)
        }
      }
    }
  }

  @Test("A value that is not a number reaches the loss and the output")
  func notANumber() throws {
    for set in Samples.sets {
      let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
      var row: [Float] = [1, .nan, 2, 3]
      unsafe kernels.softmax(row, &row, 1, 4)
      #expect(row.contains { $0.isNaN }, "\(set)")
    }
  }
}
