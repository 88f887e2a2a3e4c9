// Apache-2.0.
import CKernels
import Tensors
import Testing

@Suite("Convolutions and their gradients, against the scalar set and finite differences")
struct ConvolutionTests {
  /// Windows of every size and stride over images smaller and larger than them.
  static let windows: [samara_window] = [1, 3, 5, 7].flatMap { size in
    [1, 2].flatMap { stride in
      [(1, 4), (2, 17), (9, 33), (12, 3)].map { height, channels in
        var window = samara_window()
        window.height = Int64(height)
        window.width = Int64(height * 5 % 13)
        window.channels = Int64(channels)
        window.size = Int64(size)
        window.stride = Int64(stride)
        window.top = Int64(size / 2)
        window.left = Int64(channels % 2 == 0 ? 0 : size / 2)
        window.output_height = (window.height + window.stride - 1) / window.stride
        window.output_width = (window.width + window.stride - 1) / window.stride
        return window
      }
    }
  }

  private static func weight(_ taps: UnsafePointer<Float>, _ w: samara_window) -> samara_weight {
    var weight = unsafe samara_weight()
    unsafe weight.data = UnsafeRawPointer(taps)
    unsafe weight.rows = w.channels
    unsafe weight.columns = w.size * w.size
    unsafe weight.row_stride = w.size * w.size
    return unsafe weight
  }

  /// One image through a depthwise convolution and ReLU6 in pieces of two rows.
  private func output(
    _ set: InstructionSet,
    _ w: samara_window,
    _ x: [Float],
    _ taps: [Float],
    activation: samara_activation = SAMARA_RELU6
  ) throws -> [Float] {
    let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
    let count = Int(w.output_height * w.output_width * w.channels)
    var result = [Float](repeating: 0, count: count)
    let bias = Gradients.noise(Int(w.channels), seed: 4)
    unsafe x.withUnsafeBufferPointer { x in
      unsafe taps.withUnsafeBufferPointer { taps in
        unsafe bias.withUnsafeBufferPointer { bias in
          unsafe result.withUnsafeMutableBufferPointer { result in
            guard let base = taps.baseAddress else { return }
            var call = unsafe samara_depthwise_args()
            unsafe call.window = w
            unsafe call.input = x.baseAddress
            unsafe call.weight = Self.weight(base, w)
            unsafe call.bias = bias.baseAddress
            unsafe call.output = result.baseAddress
            unsafe call.activation = Int32(activation.rawValue)
            unsafe Gradients.withScratch(kernels.depthwise_scratch_bytes(w.channels, w.size)) {
              scratch in
              unsafe call.scratch = scratch
              for row in stride(from: 0, to: w.output_height, by: 2) {
                unsafe call.row_begin = row
                unsafe call.row_end = min(w.output_height, row + 2)
                unsafe kernels.depthwise(&call)
              }
            }
          }
        }
      }
    }
    return result
  }

  /// Gradients with respect to the image, in pieces of `rows`, and to the taps.
  private func gradients(
    _ set: InstructionSet,
    _ w: samara_window,
    _ x: [Float],
    _ taps: [Float],
    _ d: [Float],
    rows: Int64
  ) throws -> (image: [Float], taps: [Float]) {
    let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
    var (image, sums) = (x, taps)
    let bytes = kernels.depthwise_scratch_bytes(w.channels, w.size)
    unsafe x.withUnsafeBufferPointer { x in
      unsafe taps.withUnsafeBufferPointer { taps in
        unsafe d.withUnsafeBufferPointer { d in
          unsafe image.withUnsafeMutableBufferPointer { image in
            guard let base = taps.baseAddress else { return }
            var call = unsafe samara_depthwise_input_gradient_args()
            unsafe call.window = w
            unsafe call.output_gradient = d.baseAddress
            unsafe call.weight = Self.weight(base, w)
            unsafe call.input_gradient = image.baseAddress
            unsafe Gradients.withScratch(bytes) { scratch in
              unsafe call.scratch = scratch
              for row in stride(from: 0, to: w.height, by: Int(rows)) {
                unsafe call.row_begin = row
                unsafe call.row_end = min(w.height, row + rows)
                unsafe kernels.depthwise_input_gradient(&call)
              }
            }
          }
          unsafe sums.withUnsafeMutableBufferPointer { sums in
            var call = unsafe samara_depthwise_weight_gradient_args()
            unsafe call.window = w
            unsafe call.images = 1
            unsafe call.output_gradient = d.baseAddress
            unsafe call.input = x.baseAddress
            unsafe call.gradient = sums.baseAddress
            unsafe Gradients.withScratch(bytes) { scratch in
              unsafe call.scratch = scratch
              for channel in stride(from: 0, to: w.channels, by: 16) {
                unsafe call.channel_begin = channel
                unsafe call.channel_end = min(w.channels, channel + 16)
                unsafe kernels.depthwise_weight_gradient(&call)
              }
            }
          }
        }
      }
    }
    return (image, sums)
  }

  @Test("Depthwise", arguments: windows)
  func depthwise(w: samara_window) throws {
    let x = Gradients.noise(Int(w.height * w.width * w.channels), seed: 1)
    let taps = Gradients.noise(Int(w.channels * w.size * w.size), seed: 2)
    let d = Gradients.noise(Int(w.output_height * w.output_width * w.channels), seed: 3)
    let wanted = try output(.scalar, w, x, taps)
    let scalar = try gradients(.scalar, w, x, taps, d, rows: w.height)
    for set in Samples.vectorSets {
      #expect(Gradients.difference(try output(set, w, x, taps), wanted) < 1e-4, "\(set)")
      let whole = try gradients(set, w, x, taps, d, rows: w.height)
      #expect(Gradients.difference(whole.image, scalar.image) < 1e-4, "\(set)")
      #expect(Gradients.difference(whole.taps, scalar.taps) < 1e-3, "\(set)")
      #expect(try gradients(set, w, x, taps, d, rows: 2).image == whole.image, "\(set) in pieces")
    }
    // The convolution is linear in either operand.
    try Gradients.check("image", at: x, gradient: scalar.image) {
      Gradients.dot(try output(.scalar, w, $0, taps, activation: SAMARA_IDENTITY), d)
    }
    try Gradients.check("taps", at: taps, gradient: scalar.taps) {
      Gradients.dot(try output(.scalar, w, x, $0, activation: SAMARA_IDENTITY), d)
    }
  }

  @Test("Patches hold what their windows see; folding is the transposed map", arguments: windows)
  func unfold(w: samara_window) throws {
    let image = Gradients.noise(Int(w.height * w.width * w.channels), seed: 1)
    let pixels = w.output_height * w.output_width
    let area = w.size * w.size
    let weights = Gradients.noise(Int(pixels * w.channels * area), seed: 3)
    for set in Samples.sets {
      let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
      var window = w
      var patches = [Float](repeating: 9, count: weights.count)
      unsafe kernels.unfold(&window, image, &patches, 0, pixels)
      var wrong = 0
      for (i, patch) in patches.enumerated() {
        let (pixel, place) = (i / Int(w.channels * area), i % Int(w.channels * area))
        let (channel, tap) = (place / Int(area), place % Int(area))
        let y = pixel / Int(w.output_width) * Int(w.stride) + tap / Int(w.size) - Int(w.top)
        let x = pixel % Int(w.output_width) * Int(w.stride) + tap % Int(w.size) - Int(w.left)
        let isInside = y >= 0 && y < Int(w.height) && x >= 0 && x < Int(w.width)
        let seen = isInside ? image[(y * Int(w.width) + x) * Int(w.channels) + channel] : 0
        if patch != seen { wrong += 1 }
      }
      #expect(wrong == 0, "\(set)")
      var folded = image
      unsafe kernels.fold(&window, weights, &folded, 0, w.height)
      let (there, back) = (Gradients.dot(patches, weights), Gradients.dot(image, folded))
      #expect(abs(there - back) < 1e-4 * max(1, abs(there)), "\(set)")
    }
  }

  @Test("Pooling is the mean, its gradient an equal share")
  func pools() throws {
    for set in Samples.sets {
      let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
      let x = Gradients.noise(6 * 37, seed: 1)
      var mean = [Float](repeating: 0, count: 37)
      unsafe kernels.average_pool(x, 6, 37, &mean)
      for c in 0..<37 {
        let wanted = (0..<6).reduce(Float(0)) { $0 + x[$1 * 37 + c] } / 6
        #expect(abs(mean[c] - wanted) < 1e-6)
      }
      var spread = x
      unsafe kernels.average_pool_gradient(mean, 6, 37, &spread)
      for (i, value) in spread.enumerated() { #expect(abs(value - mean[i % 37] / 6) < 1e-7) }
    }
  }
}
