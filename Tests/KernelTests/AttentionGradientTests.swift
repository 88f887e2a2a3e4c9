// Apache-2.0.
import CKernels
import Tensors
import Testing

@Suite("Gradient of attention, against the scalar set and finite differences")
struct AttentionGradientTests {
  /// One head of keys and the query heads over it; lengths in positions.
  struct Case: Sendable {
    var length: Int
    var keys: Int
    var dimension: Int
    var heads = 2
    var isCausal: Bool

    var queryWidth: Int { heads * dimension + 3 }
    var keyWidth: Int { dimension + 2 }
    var queryCount: Int { length * queryWidth }
    var keyCount: Int { length * keyWidth }
  }

  /// Gradients of queries, keys and values, one after the other.
  private func gradient(_ set: InstructionSet, _ c: Case, _ x: [Float], _ d: [Float]) throws
    -> [Float]
  {
    let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
    var result = [Float](repeating: 9, count: x.count)
    let bytes = kernels.attention_gradient_scratch_bytes(
      Int64(c.length),
      Int64(c.keys),
      Int64(c.dimension)
    )
    unsafe x.withUnsafeBufferPointer { x in
      unsafe d.withUnsafeBufferPointer { d in
        unsafe result.withUnsafeMutableBufferPointer { result in
          guard let x = x.baseAddress, let result = result.baseAddress else { return }
          var call = unsafe samara_attention_gradient_args()
          unsafe call.query = x
          unsafe call.key = x + c.queryCount
          unsafe call.value = x + c.queryCount + c.keyCount
          unsafe call.query_stride = Int64(c.queryWidth)
          unsafe call.key_stride = Int64(c.keyWidth)
          unsafe call.value_stride = Int64(c.keyWidth)
          unsafe call.output_gradient = d.baseAddress
          unsafe call.output_gradient_stride = Int64(c.queryWidth)
          unsafe call.query_gradient = result
          unsafe call.key_gradient = result + c.queryCount
          unsafe call.value_gradient = result + c.queryCount + c.keyCount
          unsafe call.query_gradient_stride = Int64(c.queryWidth)
          unsafe call.key_gradient_stride = Int64(c.keyWidth)
          unsafe call.value_gradient_stride = Int64(c.keyWidth)
          unsafe call.heads = Int64(c.heads)
          unsafe call.head_stride = Int64(c.dimension)
          unsafe call.query_count = Int64(c.length)
          unsafe call.key_length = Int64(c.keys)
          unsafe call.key_count = Int64(c.length)
          unsafe call.head_dimension = Int64(c.dimension)
          unsafe call.causal = c.isCausal ? 1 : 0
          unsafe call.scale = 0.7
          unsafe Gradients.withScratch(bytes) { scratch in
            unsafe call.scratch = scratch
            unsafe kernels.attention_gradient(&call)
          }
        }
      }
    }
    return result
  }

  /// Σ output · d of the scalar forward pass.
  private func loss(_ c: Case, _ x: [Float], _ d: [Float]) throws -> Double {
    let kernels = unsafe try #require(KernelTable(.scalar)).kernels.pointee
    var output = [Float](repeating: 0, count: c.queryCount)
    let bytes = kernels.attention_scratch_bytes(Int64(c.length), Int64(c.keys), Int64(c.dimension))
    unsafe x.withUnsafeBufferPointer { x in
      unsafe output.withUnsafeMutableBufferPointer { output in
        guard let x = x.baseAddress, let output = output.baseAddress else { return }
        var call = unsafe samara_attention_args()
        unsafe call.key = x + c.queryCount
        unsafe call.value = x + c.queryCount + c.keyCount
        unsafe call.query_stride = Int64(c.queryWidth)
        unsafe call.key_stride = Int64(c.keyWidth)
        unsafe call.value_stride = Int64(c.keyWidth)
        unsafe call.output_stride = Int64(c.queryWidth)
        unsafe call.query_count = Int64(c.length)
        unsafe call.key_length = Int64(c.keys)
        unsafe call.head_dimension = Int64(c.dimension)
        unsafe call.causal = c.isCausal ? 1 : 0
        unsafe call.scale = 0.7
        unsafe Gradients.withScratch(bytes) { scratch in
          unsafe call.scratch = scratch
          for head in 0..<c.heads {
            unsafe call.query = x + head * c.dimension
            unsafe call.output = output + head * c.dimension
            unsafe kernels.attention(&call)
          }
        }
      }
    }
    return Gradients.dot(output, d)
  }

  @Test(
    "Agrees at awkward lengths and dimensions",
    arguments: [
      (1, 1), (2, 4), (5, 7), (14, 16), (15, 32), (33, 40), (56, 64), (57, 80), (70, 33), (113, 24),
    ]
  )
  func agrees(length: Int, dimension: Int) throws {
    for isCausal in [false, true] {
      for keys in [length, (length + 1) / 2] {
        let c = Case(length: length, keys: keys, dimension: dimension, isCausal: isCausal)
        let x = Gradients.noise(c.queryCount + 2 * c.keyCount, seed: 1)
        // Nothing flows back into what lies between the heads.
        let d = Gradients.noise(c.queryCount, seed: 2).enumerated().map {
          $0.offset % c.queryWidth < c.heads * c.dimension ? $0.element : 0
        }
        let wanted = try gradient(.scalar, c, x, d)
        for set in Samples.vectorSets {
          let worst = Gradients.difference(try gradient(set, c, x, d), wanted)
          #expect(worst < 1e-3, "\(set) \(c)")
        }
        let meant = wanted.indices.map { i in
          let column =
            i < c.queryCount
            ? i % c.queryWidth - c.heads * c.dimension
            : (i - c.queryCount) % c.keyWidth - c.dimension
          return column < 0 ? wanted[i] : 0
        }
        try Gradients.check("\(c)", at: x, gradient: meant) { try loss(c, $0, d) }
      }
    }
  }
}
