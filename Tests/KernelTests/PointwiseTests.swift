// Apache-2.0.
import CKernels
import Tensors
import Testing

@Suite("Kernels over rows, against the scalar set")
struct PointwiseTests {
  private static let sizes = [0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 100]

  /// Largest difference of two results, relative to the larger magnitude and at least to 1e-3.
  private func difference(_ a: [Float], _ b: [Float]) -> Float {
    zip(a, b).reduce(0) { worst, pair in
      if pair.0 == pair.1 || (pair.0.isNaN && pair.1.isNaN) { return worst }
      let scale = max(abs(pair.0), abs(pair.1), 1e-3)
      let error = abs(pair.0 - pair.1) / scale
      return error.isNaN ? .infinity : max(worst, error)
    }
  }

  /// Runs `body` with the kernels of each set and a buffer of `count` results with a guard behind it.
  private func compare(
    _ count: Int,
    tolerance: Float,
    _ what: String,
    _ body: (samara_kernel_table, UnsafeMutablePointer<Float>) -> Void
  ) throws {
    var results: [[Float]] = []
    for set in Samples.sets {
      let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
      let buffer = AlignedBuffer(floats: count + 32)
      for i in 0..<32 { unsafe buffer.floats[count + i] = 77 }
      unsafe body(
        kernels,
        try #require(buffer.floats.baseAddress)
      )
      let all = unsafe Array(buffer.floats)
      #expect(all[count..<count + 32].allSatisfy { $0 == 77 }, "\(set) \(what) writes past its end")
      results.append(Array(all[..<count]))
    }
    for (set, result) in zip(Samples.sets, results) {
      let worst = difference(result, results[0])
      #expect(worst <= tolerance, "\(set) \(what): \(worst)")
    }
  }

  @Test("Activations within a few units in the last place, at the ends of their ranges too")
  func activations() throws {
    let special: [Float] = [
      0, -0.0, 1e-30, -1e-30, 0.5, 0.6249, 0.6251, 0.92, 0.93, 5, -5, 20, -20, 90, -90, 1e10, -1e10,
      .infinity, .nan,
    ]
    let values = special + (0..<400).map { Samples.value($0, seed: 3) * 12 }
    for activation in 0...5 {
      // 1 + erf cancels where x is below −1: there GELU is exact to the unit of 1, not of itself.
      let tolerance: Float = activation == 1 || activation == 2 ? 3e-4 : 4e-6
      unsafe try compare(values.count, tolerance: tolerance, "activation \(activation)") {
        kernels,
        output in
        unsafe kernels.activate(Int32(activation), values, output, Int64(values.count))
      }
    }
  }

  @Test("Norms, softmax, sums and gates at every awkward width")
  func rows() throws {
    for columns in Self.sizes {
      let rows = 3
      let count = rows * columns
      let (x, y) = (Samples.floats(count, seed: 1, scale: 4), Samples.floats(count, seed: 2))
      let (gain, bias) = (Samples.floats(columns, seed: 3), Samples.floats(columns, seed: 4))
      let (r, c) = (Int64(rows), Int64(columns))
      unsafe try compare(count, tolerance: 2e-5, "rms_norm \(columns)") { kernels, output in
        unsafe kernels.rms_norm(x.floats.baseAddress, gain.floats.baseAddress, output, r, c, 1e-5)
      }
      for bias in [bias, nil] {
        unsafe try compare(count, tolerance: 2e-4, "layer_norm \(columns)") { kernels, output in
          unsafe kernels.layer_norm(
            x.floats.baseAddress,
            gain.floats.baseAddress,
            bias?.floats.baseAddress,
            output,
            r,
            c,
            1e-5
          )
        }
      }
      unsafe try compare(count, tolerance: 2e-5, "softmax \(columns)") { kernels, output in
        unsafe kernels.softmax(x.floats.baseAddress, output, r, c)
      }
      unsafe try compare(count, tolerance: 0, "add \(columns)") { kernels, output in
        unsafe kernels.add(x.floats.baseAddress, y.floats.baseAddress, output, Int64(count))
      }
      unsafe try compare(count, tolerance: 2e-6, "silu_multiply \(columns)") { kernels, output in
        unsafe kernels.silu_multiply(
          x.floats.baseAddress,
          y.floats.baseAddress,
          output,
          Int64(count)
        )
      }
    }
  }

  @Test("Rotary positions turn every pair")
  func rotary() throws {
    for dimension in [2, 4, 12, 16, 32, 34, 64] {
      let (positions, heads) = (5, 3)
      let stride = heads * dimension + 4
      let x = Samples.floats(positions * stride, seed: 1)
      let cosines = Samples.floats(positions * dimension / 2, seed: 2)
      let sines = Samples.floats(positions * dimension / 2, seed: 3)
      unsafe try compare(positions * stride, tolerance: 1e-6, "rotary \(dimension)") {
        kernels,
        output in
        unsafe output.update(
          from: UnsafePointer(x.baseAddress.assumingMemoryBound(to: Float.self)),
          count: positions * stride
        )
        unsafe kernels.rotary(
          output,
          Int64(positions),
          Int64(stride),
          Int64(heads),
          Int64(dimension),
          cosines.floats.baseAddress,
          sines.floats.baseAddress
        )
      }
    }
  }

  @Test("Weights are read alike in every stored type, perturbed at any bit offset")
  func weights() throws {
    for columns in [1, 7, 16, 17, 33, 70] {
      for type in ElementType.allCases {
        for offset in [nil, 0, 1, 63, 64, 129] {
          let weight = SampleWeight(
            rows: 4,
            columns: columns,
            type: type,
            offset: offset,
            padding: 3,
            seed: 9
          )
          var view = unsafe weight.view
          unsafe try compare(4 * columns, tolerance: 0, "materialize") { kernels, output in
            unsafe kernels.materialize(&view, 0, 4, output)
            let got = unsafe Array(UnsafeBufferPointer(start: output, count: 4 * columns))
            #expect(got == weight.values)
          }
          let ids: [Int32] = [3, 0, 3, 1]
          unsafe try compare(4 * columns, tolerance: 0, "embedding") { kernels, output in
            unsafe kernels.embedding(&view, ids, 4, output, Int64(columns))
          }
        }
      }
    }
  }
}
