// Apache-2.0.
import CKernels
import Tensors
import Testing

@Suite struct ScalarLinearTests {
  /// A reproducible value in (−1, 1).
  private func value(_ index: Int) -> Float {
    Float((index * 7919 + 13) % 2003) / 1001.5 - 1
  }

  @Test(arguments: [(1, 1, 1), (2, 3, 5), (3, 17, 33), (5, 16, 64)])
  func `A linear layer equals a loop in binary64`(m: Int, n: Int, k: Int) throws {
    let table = try #require(KernelTable(.scalar))
    let input = (0..<m * k).map { value($0) }
    let weight = (0..<n * k).map { value($0 + 31) }
    let bias = (0..<n).map { value($0 + 77) }
    var output = [Float](repeating: 0, count: m * n)
    let scratch = AlignedBuffer(
      byteCount: unsafe table.kernels.pointee.linear_scratch_bytes(Int64(m), Int64(n), Int64(k))
    )
    unsafe input.withUnsafeBufferPointer { input in
      unsafe weight.withUnsafeBufferPointer { weight in
        unsafe bias.withUnsafeBufferPointer { bias in
          unsafe output.withUnsafeMutableBufferPointer { output in
            var arguments = unsafe samara_linear_args()
            unsafe arguments.input = input.baseAddress
            unsafe arguments.input_stride = Int64(k)
            unsafe arguments.weight.data = UnsafeRawPointer(weight.baseAddress)
            unsafe arguments.weight.rows = Int64(n)
            unsafe arguments.weight.columns = Int64(k)
            unsafe arguments.weight.row_stride = Int64(k)
            unsafe arguments.bias = bias.baseAddress
            unsafe arguments.output = output.baseAddress
            unsafe arguments.output_stride = Int64(n)
            unsafe arguments.m_end = Int64(m)
            unsafe arguments.n_end = Int64(n)
            unsafe arguments.scratch = scratch.baseAddress
            unsafe table.kernels.pointee.linear(&arguments)
          }
        }
      }
    }
    for row in 0..<m {
      for column in 0..<n {
        var sum = Double(bias[column])
        for i in 0..<k { sum += Double(input[row * k + i]) * Double(weight[column * k + i]) }
        #expect(abs(Double(output[row * n + column]) - sum) < 1e-5 * Double(k))
      }
    }
  }
}
