// Apache-2.0.
import CKernels
import Tensors
import Testing

/// One linear layer to try.
struct LinearCase: Sendable, CustomStringConvertible {
  var m: Int
  var n: Int
  var k: Int
  var type = ElementType.f32
  var offset: Int?
  var packed = false
  var bias = true
  var residual = false
  /// The residual is the output buffer.
  var inPlace = false
  var activation = SAMARA_IDENTITY
  var byParts = false

  var description: String {
    "\(m)x\(n)x\(k) \(type)\(packed ? " packed" : "") signs \(offset.map(String.init) ?? "none")"
  }
}

/// A linear layer with its operands, run in one call or range by range.
struct LinearRun {
  let linear: LinearCase
  let input: AlignedBuffer
  let weight: SampleWeight
  let bias: AlignedBuffer
  let residual: AlignedBuffer
  let inputStride: Int
  let outputStride: Int

  init(_ linear: LinearCase) {
    self.linear = linear
    inputStride = linear.k + 3
    outputStride = linear.n + 5
    input = Samples.floats(linear.m * inputStride + 1, seed: 1)
    weight = SampleWeight(
      rows: linear.n,
      columns: linear.k,
      type: linear.type,
      offset: linear.offset,
      padding: 2,
      seed: 2
    )
    bias = Samples.floats(linear.n, seed: 4)
    residual = Samples.floats(linear.m * outputStride, seed: 5)
  }

  /// [M × N] by `set`, the call split into ranges of `rows` × `outputs`.
  func output(_ set: InstructionSet, rows: Int, outputs: Int) throws -> [Float] {
    let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
    let (m, n, k) = (linear.m, linear.n, linear.k)
    let output = AlignedBuffer(floats: m * outputStride)
    for i in 0..<m * outputStride {
      unsafe output.floats[i] = linear.inPlace ? residual.floats[i] : .nan
    }
    let scratchBytes = kernels.linear_scratch_bytes(Int64(m), Int64(n), Int64(k))
    let scratch = AlignedBuffer(byteCount: scratchBytes + 64)
    for i in 0..<64 {
      unsafe scratch.baseAddress.storeBytes(
        of: 0x5A,
        toByteOffset: scratchBytes + i,
        as: UInt8.self
      )
    }
    var call = unsafe samara_linear_args()
    unsafe call.input = UnsafePointer(input.floats.baseAddress)
    unsafe call.input_stride = Int64(inputStride)
    unsafe call.weight = weight.view
    unsafe call.bias = linear.bias ? UnsafePointer(bias.floats.baseAddress) : nil
    if linear.residual || linear.inPlace {
      unsafe call.residual = UnsafePointer((linear.inPlace ? output : residual).floats.baseAddress)
    }
    unsafe call.residual_stride = Int64(outputStride)
    unsafe call.output = output.floats.baseAddress
    unsafe call.output_stride = Int64(outputStride)
    unsafe call.activation = Int32(linear.activation.rawValue)
    unsafe call.by_parts = linear.byParts ? 1 : 0
    unsafe call.scratch = scratch.baseAddress
    let panels = weight.panels(kernels, linear.byParts ? SAMARA_PARTS_PANELS : SAMARA_LINEAR_PANELS)
    if linear.packed { unsafe call.packed = UnsafeRawPointer(panels.baseAddress) }
    defer { withExtendedLifetime(panels) {} }
    for row in stride(from: 0, to: m, by: rows) {
      for column in stride(from: 0, to: n, by: outputs) {
        unsafe call.m_begin = Int64(row)
        unsafe call.m_end = Int64(min(m, row + rows))
        unsafe call.n_begin = Int64(column)
        unsafe call.n_end = Int64(min(n, column + outputs))
        unsafe kernels.linear(&call)
      }
    }
    for i in 0..<64 {
      #expect(
        unsafe scratch.baseAddress.load(fromByteOffset: scratchBytes + i, as: UInt8.self) == 0x5A
      )
    }
    var result: [Float] = []
    for row in 0..<m {
      for column in 0..<outputStride {
        let value = unsafe output.floats[row * outputStride + column]
        if column < n { result.append(value) } else if !linear.inPlace { #expect(value.isNaN) }
      }
    }
    return result
  }

  /// The definition with one fused multiply-add per k, in order; identity activation.
  ///
  /// Of a large output only some elements, the others nil.
  func fused() -> [Float?] {
    var result: [Float?] = []
    let every = linear.m * linear.n * linear.k > 1_000_000 ? 97 : 1
    for row in 0..<linear.m {
      for column in 0..<linear.n {
        guard result.count % every == 0 else {
          result.append(nil)
          continue
        }
        var sum: Float = 0
        for i in 0..<linear.k {
          sum = unsafe sum.addingProduct(
            input.floats[row * inputStride + i],
            weight.values[column * linear.k + i]
          )
        }
        if linear.bias { unsafe sum += bias.floats[column] }
        if linear.residual || linear.inPlace {
          unsafe sum += residual.floats[row * outputStride + column]
        }
        result.append(sum)
      }
    }
    return result
  }

  /// The definition in binary64, identity activation, and a bound of what binary32 may add.
  func exact() -> [(value: Double, magnitude: Double)] {
    var result: [(Double, Double)] = []
    for row in 0..<linear.m {
      for column in 0..<linear.n {
        var (sum, magnitude) = (0.0, 0.0)
        for i in 0..<linear.k {
          let term =
            unsafe Double(input.floats[row * inputStride + i])
            * Double(weight.values[column * linear.k + i])
          sum += term
          magnitude += abs(term)
        }
        if linear.bias { unsafe sum += Double(bias.floats[column]) }
        if linear.residual || linear.inPlace {
          unsafe sum += Double(residual.floats[row * outputStride + column])
        }
        result.append((sum, magnitude + 2))
      }
    }
    return result
  }
}

@Suite struct LinearTests {
  static let shapes: [LinearCase] =
    [1, 2, 3, 7, 13, 14, 15, 33].flatMap { m in
      [1, 2, 15, 16, 17, 31, 32, 33, 70].map { n in
        LinearCase(m: m, n: n, k: [0, 1, 2, 7, 15, 16, 17, 33, 100][(m + n) % 9])
      }
    } + [
      LinearCase(m: 5, n: 40, k: 384), LinearCase(m: 5, n: 40, k: 385),
      LinearCase(m: 20, n: 33, k: 1100), LinearCase(m: 300, n: 300, k: 1700),
    ]

  static let variants: [LinearCase] =
    ElementType.allCases.flatMap { type in
      [nil, 0, 1, 37, 63, 64, 8_191].flatMap { offset in
        [
          LinearCase(m: 9, n: 37, k: 83, type: type, offset: offset, residual: true),
          LinearCase(m: 3, n: 18, k: 401, type: type, offset: offset, bias: false, inPlace: true),
          LinearCase(m: 1, n: 67, k: 59, type: type, offset: offset),
          LinearCase(m: 8, n: 21, k: 131, type: type, offset: offset),
        ]
      }
    } + ElementType.allCases.map { LinearCase(m: 17, n: 130, k: 50, type: $0, packed: true) }

  @Test(arguments: shapes + variants)
  func `The scalar linear layer equals a loop in binary64`(linear: LinearCase) throws {
    guard linear.m * linear.n * linear.k < 1_000_000 else { return }
    let run = LinearRun(linear)
    let output = try run.output(.scalar, rows: linear.m, outputs: linear.n)
    for (value, exact) in zip(output, run.exact()) {
      #expect(abs(Double(value) - exact.value) <= 0x1p-22 * exact.magnitude)
    }
  }

  @Test(arguments: Samples.vectorSets, shapes + variants)
  func `A vectorised linear layer is fused multiply-adds in the order of k, bit for bit`(
    set: InstructionSet,
    linear: LinearCase
  ) throws {
    let run = LinearRun(linear)
    let output = try run.output(set, rows: linear.m, outputs: linear.n)
    let fused = run.fused()
    #expect(zip(output, fused).allSatisfy { $1 == nil || $0 == $1 } && output.count == fused.count)
  }

  @Test(arguments: Samples.sets, [false, true])
  func `Splitting into ranges changes no bit`(set: InstructionSet, packed: Bool) throws {
    for k in [40, 1100] {
      let run = LinearRun(LinearCase(m: 31, n: 150, k: k, packed: packed, residual: true))
      let whole = try run.output(set, rows: 31, outputs: 150)
      for (rows, outputs) in [(1, 150), (31, 1), (5, 19), (14, 32), (16, 64), (30, 149)] {
        #expect(try run.output(set, rows: rows, outputs: outputs) == whole)
      }
    }
  }

  @Test(arguments: Samples.sets, shapes + variants)
  func `By parts a layer is as near to the exact one, in any ranges`(
    set: InstructionSet,
    linear: LinearCase
  ) throws {
    guard linear.m * linear.n * linear.k < 1_000_000 else { return }
    var linear = linear
    linear.byParts = true
    let run = LinearRun(linear)
    let output = try run.output(set, rows: linear.m, outputs: linear.n)
    for (value, exact) in zip(output, run.exact()) {
      #expect(abs(Double(value) - exact.value) <= 0x1p-20 * exact.magnitude)
    }
    #expect(try run.output(set, rows: max(1, linear.m / 2), outputs: 21) == output)
  }

  @Test(arguments: Samples.sets, [false, true])
  func `A weight packed before changes no bit`(set: InstructionSet, byParts: Bool) throws {
    for (m, n, k) in [(1, 3, 1), (31, 150, 40), (70, 97, 33), (33, 130, 1100)] {
      for type in ElementType.allCases {
        func run(_ packed: Bool) -> LinearRun {
          LinearRun(LinearCase(m: m, n: n, k: k, type: type, packed: packed, byParts: byParts))
        }
        let plain = try run(false).output(set, rows: m, outputs: n)
        for (rows, outputs) in [(m, n), (9, 21), (14, 32), (32, 64)] {
          #expect(try run(true).output(set, rows: rows, outputs: outputs) == plain)
        }
      }
    }
  }

  @Test(arguments: Samples.vectorSets)
  func `By parts a wide range within a wider layer fits the scratch of that`(
    set: InstructionSet
  ) throws {
    let run = LinearRun(LinearCase(m: 1540, n: 340, k: 530, byParts: true))
    let whole = try run.output(set, rows: 1540, outputs: 340)
    #expect(try run.output(set, rows: 1216, outputs: 340) == whole)
  }

  @Test(arguments: Samples.sets, [Float.nan, .infinity])
  func `A value that is not finite spreads to its row alone`(
    set: InstructionSet,
    poison: Float
  ) throws {
    for byParts in [false, true] {
      let run = LinearRun(LinearCase(m: 4, n: 35, k: 50, byParts: byParts))
      unsafe run.input.floats[2 * run.inputStride + 49] = poison
      let output = try run.output(set, rows: 4, outputs: 35)
      for (i, value) in output.enumerated() { #expect(value.isFinite == (i / 35 != 2)) }
    }
  }
}
