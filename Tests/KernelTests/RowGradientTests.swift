// Apache-2.0.
import CKernels
import Tensors
import Testing

@Suite("Gradients between linear layers, against the scalar set and finite differences")
struct RowGradientTests {
  private static let widths = [1, 2, 7, 8, 15, 16, 17, 33, 64, 100]

  /// What each vectorised set makes of `body` equals what the scalar one does.
  private func compare(
    _ what: String,
    _ count: Int,
    tolerance: Float,
    _ body: (samara_kernel_table, UnsafeMutablePointer<Float>) -> Void
  ) throws -> [Float] {
    var wanted: [Float] = []
    for set in Samples.sets {
      let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
      var result = [Float](repeating: 0, count: count) + [Float](repeating: 77, count: 32)
      unsafe result.withUnsafeMutableBufferPointer { buffer in
        if let base = buffer.baseAddress { unsafe body(kernels, base) }
      }
      #expect(result.suffix(32).allSatisfy { $0 == 77 }, "\(set) \(what) writes past its end")
      let got = Array(result.prefix(count))
      if set == .scalar { wanted = got }
      let worst = Gradients.difference(got, wanted)
      #expect(worst <= tolerance, "\(set) \(what): \(worst)")
    }
    return wanted
  }

  @Test("Activations and the gate", arguments: widths)
  func activations(count: Int) throws {
    let x = Gradients.noise(count, seed: 1, scale: 4)
    let (up, weights) = (Gradients.noise(count, seed: 2), Gradients.noise(count, seed: 3))
    let scalar = unsafe try #require(KernelTable(.scalar)).kernels.pointee
    for activation in Int32(0)...6 {
      let slope = unsafe try compare("activation \(activation)", count, tolerance: 1e-4) {
        kernels,
        output in
        unsafe kernels.activation_gradient(activation, 0, x, weights, output, Int64(count))
      }
      // A step over a kink has no one derivative.
      if activation < 5 {
        Gradients.check("activation \(activation)", at: x, gradient: slope) { x in
          var y = x
          unsafe scalar.activate(activation, x, &y, Int64(count))
          return Gradients.dot(y, weights)
        }
      }
      guard activation == 0 || activation >= 4 else { continue }
      var y = x
      unsafe scalar.activate(activation, x, &y, Int64(count))
      let same = unsafe try compare("from the output", count, tolerance: 1e-4) { kernels, output in
        unsafe kernels.activation_gradient(activation, 1, y, weights, output, Int64(count))
      }
      #expect(Gradients.difference(same, slope) < 1e-4)
    }
    let both = unsafe try compare("silu_multiply", 2 * count, tolerance: 1e-4) { kernels, output in
      unsafe kernels.silu_multiply_gradient(
        x,
        up,
        weights,
        output,
        output + count,
        Int64(count)
      )
    }
    Gradients.check("silu_multiply", at: x + up, gradient: both) { values in
      var y = x
      let (gate, up) = (Array(values.prefix(count)), Array(values.suffix(count)))
      unsafe scalar.silu_multiply(gate, up, &y, Int64(count))
      return Gradients.dot(y, weights)
    }
  }

  @Test("Norms: input, gain and bias", arguments: widths)
  func norms(columns: Int) throws {
    let rows = 4
    let count = rows * columns
    let x = Gradients.noise(count, seed: 1, scale: 2)
    let (gain, bias) = (Gradients.noise(columns, seed: 2), Gradients.noise(columns, seed: 3))
    let weights = Gradients.noise(count, seed: 4)
    let scalar = unsafe try #require(KernelTable(.scalar)).kernels.pointee
    for isLayer in [false, true] {
      let what = "\(isLayer ? "layer" : "rms")_norm \(columns)"
      let all = unsafe try compare(what, count + 2 * columns, tolerance: 1e-3) { kernels, output in
        unsafe x.withUnsafeBufferPointer { x in
          unsafe gain.withUnsafeBufferPointer { gain in
            unsafe weights.withUnsafeBufferPointer { weights in
              var call = unsafe samara_norm_gradient_args()
              unsafe call.input = x.baseAddress
              unsafe call.gain = gain.baseAddress
              unsafe call.output_gradient = weights.baseAddress
              unsafe call.input_gradient = output
              unsafe call.gain_sums = output + count
              unsafe call.bias_sums = output + count + columns
              unsafe call.rows = Int64(rows)
              unsafe call.columns = Int64(columns)
              unsafe call.epsilon = 0.1
              unsafe isLayer ? kernels.layer_norm_gradient(&call) : kernels.rms_norm_gradient(&call)
            }
          }
        }
      }
      let values = x + gain + bias
      // rms_norm has no bias; its sums are asked for nevertheless.
      let gradient =
        isLayer ? all : all.prefix(count + columns) + [Float](repeating: 0, count: columns)
      Gradients.check(what, at: values, gradient: Array(gradient)) { values in
        let x = Array(values.prefix(count))
        let gain = Array(values[count..<count + columns])
        let bias = Array(values.suffix(columns))
        var y = x
        let (r, c) = (Int64(rows), Int64(columns))
        if isLayer {
          unsafe scalar.layer_norm(x, gain, bias, &y, r, c, 0.1)
        } else {
          unsafe scalar.rms_norm(x, gain, &y, r, c, 0.1)
        }
        return Gradients.dot(y, weights)
      }
    }
  }

  @Test("Softmax, logits and sums over rows", arguments: widths)
  func rows(columns: Int) throws {
    let rows = 3
    let count = rows * columns
    let x = Gradients.noise(count, seed: 1, scale: 3)
    let weights = Gradients.noise(count, seed: 4)
    let (r, c) = (Int64(rows), Int64(columns))
    let scalar = unsafe try #require(KernelTable(.scalar)).kernels.pointee
    var probabilities = x
    unsafe scalar.softmax(x, &probabilities, r, c)
    let gradient = unsafe try compare("softmax", count, tolerance: 1e-4) { kernels, output in
      unsafe kernels.softmax_gradient(probabilities, weights, output, r, c)
    }
    Gradients.check("softmax", at: x, gradient: gradient) { x in
      var y = x
      unsafe scalar.softmax(x, &y, r, c)
      return Gradients.dot(y, weights)
    }
    _ = unsafe try compare("column_sums", columns, tolerance: 1e-4) { kernels, output in
      unsafe kernels.column_sums(x, c, 2, c, output, 0)
      unsafe x.withUnsafeBufferPointer { x in
        guard let base = x.baseAddress else { return }
        unsafe kernels.column_sums(base + 2 * columns, c, 1, c, output, 1)
      }
    }
    let labels = [Int32(columns - 1), -1, Int32(columns / 2)]
    let (losses, slopes) = (columns * rows, [Float](arrayLiteral: 0.5, 7, 2))
    let all = unsafe try compare("logits", count + 2 * rows, tolerance: 1e-4) { kernels, output in
      unsafe output.update(from: x, count: count)
      unsafe RowGradientTests.logits(kernels, output, labels, slopes, columns)
    }
    #expect(all[losses + 1] == 0 && all[count + rows + 1] == -1)
    #expect(all[columns..<2 * columns].allSatisfy { $0 == 0 })
    Gradients.check("logits", at: x, gradient: Array(all.prefix(count))) { x in
      var y = x + [Float](repeating: 0, count: 2 * rows)
      unsafe y.withUnsafeMutableBufferPointer { y in
        guard let base = y.baseAddress else { return }
        unsafe RowGradientTests.logits(scalar, base, labels, slopes, columns)
      }
      return (0..<rows).reduce(0) { $0 + Double(y[count + $1]) * Double(slopes[$1] * 0.25) }
    }
  }

  /// Gradient in place, then losses, then predictions as floats.
  private static func logits(
    _ kernels: samara_kernel_table,
    _ values: UnsafeMutablePointer<Float>,
    _ labels: [Int32],
    _ slopes: [Float],
    _ columns: Int
  ) {
    let rows = labels.count
    var predictions = [Int32](repeating: 0, count: rows)
    unsafe labels.withUnsafeBufferPointer { labels in
      unsafe slopes.withUnsafeBufferPointer { slopes in
        unsafe predictions.withUnsafeMutableBufferPointer { predictions in
          var call = unsafe samara_logits_gradient_args()
          unsafe call.logits = values
          unsafe call.logits_stride = Int64(columns)
          unsafe call.labels = labels.baseAddress
          unsafe call.loss_gradients = slopes.baseAddress
          unsafe call.loss_gradient = 0.25
          unsafe call.losses = values + rows * columns
          unsafe call.predictions = predictions.baseAddress
          unsafe call.rows = Int64(rows)
          unsafe call.columns = Int64(columns)
          unsafe kernels.logits_gradient(&call)
        }
      }
    }
    for row in 0..<rows {
      unsafe values[rows * columns + rows + row] = Float(predictions[row])
    }
  }

  @Test("Turning back, tables, factors and squares")
  func rest() throws {
    let (positions, heads, dimension) = (3, 2, 34)
    let count = positions * heads * dimension
    let x = Gradients.noise(count, seed: 1)
    let angles = Gradients.noise(positions * dimension / 2, seed: 2, scale: 3)
    let (cosines, sines) = (
      angles.map { Self.cosine($0) }, angles.map { Self.cosine($0 - .pi / 2) }
    )
    let (p, s, h, d) = (Int64(3), Int64(heads * dimension), Int64(heads), Int64(dimension))
    let turned = unsafe try compare("rotary", count, tolerance: 1e-5) { kernels, output in
      unsafe output.update(from: x, count: count)
      unsafe kernels.rotary(output, p, s, h, d, cosines, sines)
      unsafe kernels.rotary_gradient(output, p, s, h, d, cosines, sines)
    }
    #expect(Gradients.difference(turned, x) < 1e-4)
    let ids: [Int32] = [3, 0, 3, 9, 1]
    let table = unsafe try compare("embedding_gradient", 10 * 20, tolerance: 0) { kernels, output in
      unsafe kernels.embedding_gradient(x, 34, ids, 5, -0.5, output, 20, 19, 1, 9)
    }
    #expect(table[3 * 20] == -0.5 * x[0] + -0.5 * x[2 * 34] && table[0] == 0 && table[20] != 0)
    _ = unsafe try compare("scale", count, tolerance: 0) { kernels, output in
      unsafe kernels.scale(x, 1.7, output, Int64(count))
    }
    let squares = unsafe try compare("squares", 2, tolerance: 1e-6) { kernels, output in
      unsafe output[0] = Float(kernels.sum_of_squares(x, Int64(count)))
      unsafe output[1] = Float(kernels.squared_distance(x, cosines, 51))
    }
    #expect(abs(Double(squares[0]) - Gradients.dot(x, x)) < 1e-3)
  }

  /// A cosine without libm: of a series on [−2π, 2π], enough for tables of a test.
  private static func cosine(_ x: Float) -> Float {
    var (term, sum) = (1.0, 1.0)
    for n in 1...20 {
      term *= -Double(x) * Double(x) / Double((2 * n - 1) * (2 * n))
      sum += term
    }
    return Float(sum)
  }
}
