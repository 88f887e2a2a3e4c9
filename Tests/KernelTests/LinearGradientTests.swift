// Apache-2.0.
import CKernels
import Tensors
import Testing

@Suite("Gradients of linear layers")
struct LinearGradientTests {
  /// Extents of M × N × K: one, around the tiles of every set, and beyond every block.
  static let shapes = [
    (1, 1, 1), (2, 3, 5), (6, 7, 8), (13, 15, 17), (14, 32, 33), (15, 16, 31), (33, 70, 14),
    (31, 2, 70), (5, 801, 40), (350, 30, 530), (801, 15, 33), (1100, 3, 33),
  ]

  /// Input gradient of one layer in ranges of `rows` × `columns`.
  private func inputGradient(
    _ set: InstructionSet,
    _ shape: (m: Int, n: Int, k: Int),
    _ weight: SampleWeight,
    rows: Int,
    columns: Int,
    activation: samara_activation? = nil,
    byParts: Bool = false,
    packed: Bool = false
  ) throws -> [Float] {
    let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
    let (m, n, k) = shape
    let panels = weight.panels(kernels, SAMARA_INPUT_GRADIENT_PANELS)
    defer { withExtendedLifetime(panels) {} }
    let gradient = Samples.floats(m * n, seed: 1)
    let residual = Samples.floats(m * k, seed: 2)
    let saved = Samples.floats(m * k, seed: 3, scale: 3)
    let result = AlignedBuffer(floats: m * k)
    var call = unsafe samara_linear_input_gradient_args()
    unsafe call.output_gradient = UnsafePointer(gradient.floats.baseAddress)
    unsafe call.output_gradient_stride = Int64(n)
    unsafe call.weight = weight.view
    if packed { unsafe call.packed = UnsafeRawPointer(panels.baseAddress) }
    unsafe call.residual = UnsafePointer(residual.floats.baseAddress)
    unsafe call.residual_stride = Int64(k)
    unsafe call.input_gradient = result.floats.baseAddress
    unsafe call.input_gradient_stride = Int64(k)
    if let activation {
      unsafe call.saved = UnsafePointer(saved.floats.baseAddress)
      unsafe call.saved_stride = Int64(k)
      unsafe call.activation = Int32(activation.rawValue)
    }
    unsafe call.by_parts = byParts ? 1 : 0
    let bytes = kernels.linear_input_gradient_scratch_bytes(Int64(m), Int64(n), Int64(k))
    unsafe Gradients.withScratch(bytes) { scratch in
      unsafe call.scratch = scratch
      for row in stride(from: 0, to: m, by: rows) {
        for column in stride(from: 0, to: k, by: columns) {
          unsafe call.m_begin = Int64(row)
          unsafe call.m_end = Int64(min(m, row + rows))
          unsafe call.k_begin = Int64(column)
          unsafe call.k_end = Int64(min(k, column + columns))
          unsafe kernels.linear_input_gradient(&call)
        }
      }
    }
    return unsafe Array(result.floats.prefix(m * k))
  }

  @Test("With respect to the input: fused sums in order, in any ranges", arguments: shapes)
  func input(m: Int, n: Int, k: Int) throws {
    for (type, offset) in [
      (ElementType.f32, nil), (.f32, 37), (.bf16, nil), (.f16, 64), (.i8, nil),
    ] {
      let weight = SampleWeight(
        rows: n,
        columns: k,
        type: type,
        offset: offset,
        padding: 2,
        seed: 9
      )
      let expected = try inputGradient(.scalar, (m, n, k), weight, rows: m, columns: k)
      let act = try inputGradient(
        .scalar,
        (m, n, k),
        weight,
        rows: m,
        columns: k,
        activation: SAMARA_GELU
      )
      for set in Samples.vectorSets {
        let whole = try inputGradient(set, (m, n, k), weight, rows: m, columns: k)
        #expect(Gradients.difference(whole, expected) < 2e-3, "\(set)")
        let parts = try inputGradient(set, (m, n, k), weight, rows: 9, columns: 21)
        #expect(parts == whole, "\(set) in ranges")
        let curved = try inputGradient(
          set,
          (m, n, k),
          weight,
          rows: m,
          columns: k,
          activation: SAMARA_GELU
        )
        #expect(Gradients.difference(curved, act) < 2e-3, "\(set) with an activation")
        func byParts(rows: Int, columns: Int) throws -> [Float] {
          try inputGradient(set, (m, n, k), weight, rows: rows, columns: columns, byParts: true)
        }
        let made = try byParts(rows: m, columns: k)
        #expect(Gradients.difference(made, expected) < 2e-3, "\(set) by parts")
        #expect(try byParts(rows: 9, columns: 21) == made, "\(set) by parts in ranges")
      }
    }
  }

  @Test("With respect to the input, of a weight packed before: the same bits", arguments: shapes)
  func packedInput(m: Int, n: Int, k: Int) throws {
    for type in [ElementType.f32, .bf16, .i8] {
      let weight = SampleWeight(rows: n, columns: k, type: type, padding: 3, seed: 9)
      for set in Samples.sets {
        func made(rows: Int, columns: Int, packed: Bool) throws -> [Float] {
          try inputGradient(
            set,
            (m, n, k),
            weight,
            rows: rows,
            columns: columns,
            byParts: true,
            packed: packed
          )
        }
        let plain = try made(rows: m, columns: k, packed: false)
        for (rows, columns) in [(m, k), (9, 21), (32, 32), (14, 64)] {
          let packed = try made(rows: rows, columns: columns, packed: true)
          #expect(packed == plain, "\(set), ranges of \(rows) × \(columns)")
        }
      }
    }
  }

  /// Weight gradient or, with a rule, the updated weights and their state.
  private func weightGradient(
    _ set: InstructionSet,
    _ shape: (m: Int, n: Int, k: Int),
    columns: Int,
    pieces: Int = 1,
    rule: samara_update_rule? = nil,
    byParts: Bool = false,
    activation: samara_activation = SAMARA_IDENTITY
  ) throws -> [Float] {
    let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
    let (m, n, k) = shape
    let gradient = Samples.floats(m * n, seed: 1)
    let input = Samples.floats(m * k, seed: 2)
    let result = AlignedBuffer(floats: 3 * n * k)
    for i in 0..<3 * n * k { unsafe result.floats[i] = abs(Samples.value(i, seed: 5)) }
    var update = LinearGradientTests.update(rule ?? SAMARA_SGD)
    var call = unsafe samara_linear_weight_gradient_args()
    unsafe call.output_gradient_stride = Int64(n)
    unsafe call.input_stride = Int64(k)
    unsafe call.input_activation = Int32(activation.rawValue)
    unsafe call.gradient_stride = Int64(k)
    unsafe call.weight_stride = Int64(k)
    unsafe call.n_end = Int64(n)
    unsafe call.by_parts = byParts ? 1 : 0
    let base = unsafe try #require(result.floats.baseAddress)
    if rule == nil {
      unsafe call.gradient = base
    } else {
      unsafe call.weights = base
      unsafe call.first = base + n * k
      unsafe call.second = base + 2 * n * k
    }
    let size = (m + pieces - 1) / pieces
    let bytes = kernels.linear_weight_gradient_scratch_bytes(Int64(m), Int64(n), Int64(k))
    unsafe withUnsafePointer(to: &update) { update in
      if rule != nil { unsafe call.update = update }
      unsafe Gradients.withScratch(bytes) { scratch in
        unsafe call.scratch = scratch
        for row in stride(from: 0, to: m, by: size) {
          unsafe call.output_gradient = UnsafePointer(
            gradient.floats.baseAddress.map { unsafe $0 + row * n }
          )
          unsafe call.input = UnsafePointer(input.floats.baseAddress.map { unsafe $0 + row * k })
          unsafe call.rows = Int64(min(size, m - row))
          unsafe call.accumulate = row > 0 ? 1 : 0
          for column in stride(from: 0, to: k, by: columns) {
            unsafe call.k_begin = Int64(column)
            unsafe call.k_end = Int64(min(k, column + columns))
            unsafe kernels.linear_weight_gradient(&call)
          }
        }
      }
    }
    return unsafe Array(result.floats.prefix(rule == nil ? n * k : 3 * n * k))
  }

  static func update(_ rule: samara_update_rule) -> samara_update {
    var update = samara_update()
    update.rule = Int32(rule.rawValue)
    update.rate = 0.01
    update.decay = 0.1
    update.scale = 0.7
    update.momentum = 0.9
    update.second_momentum = 0.999
    update.epsilon = 1e-8
    update.first_correction = 10
    update.second_correction = 31.6
    return update
  }

  @Test(
    "With respect to the weight: in any ranges of columns and pieces of rows",
    arguments: shapes
  )
  func weight(k: Int, n: Int, m: Int) throws {
    let expected = try weightGradient(.scalar, (m, n, k), columns: k)
    let curved = try weightGradient(.scalar, (m, n, k), columns: k, activation: SAMARA_SILU)
    for set in Samples.vectorSets {
      let whole = try weightGradient(set, (m, n, k), columns: k)
      #expect(Gradients.difference(whole, expected) < 2e-3, "\(set)")
      #expect(try weightGradient(set, (m, n, k), columns: 19, pieces: 3) == whole, "\(set)")
      let made = try weightGradient(set, (m, n, k), columns: k, byParts: true)
      #expect(Gradients.difference(made, expected) < 2e-3, "\(set) by parts")
      let ranges = try weightGradient(set, (m, n, k), columns: 19, byParts: true)
      #expect(ranges == made, "\(set) by parts in ranges")
      let other = try weightGradient(set, (m, n, k), columns: k, activation: SAMARA_SILU)
      #expect(Gradients.difference(other, curved) < 2e-3, "\(set) of an activation")
    }
  }

  @Test("An update fused with its gradient gives the bits of one after the other")
  func fused() throws {
    let shape = (m: 41, n: 37, k: 50)
    for (set, byParts) in Samples.vectorSets.flatMap({ [($0, false), ($0, true)] }) {
      let gradient = try weightGradient(set, shape, columns: 50, byParts: byParts)
      for rule in [SAMARA_SGD, SAMARA_MOMENTUM, SAMARA_ADAMW] {
        let fused = try weightGradient(set, shape, columns: 23, rule: rule, byParts: byParts)
        let count = shape.n * shape.k
        var update = LinearGradientTests.update(rule)
        for plain in [set, .scalar] {
          let kernels = unsafe try #require(KernelTable(plain)).kernels.pointee
          var state = (0..<3 * count).map { abs(Samples.value($0, seed: 5)) }
          unsafe state.withUnsafeMutableBufferPointer { state in
            guard let w = state.baseAddress else { return }
            unsafe kernels.optimizer_update(
              &update,
              w,
              gradient,
              w + count,
              w + 2 * count,
              Int64(count)
            )
          }
          #expect(state == fused, "\(set) and \(plain), \(rule)")
        }
      }
    }
  }

  @Test("AdamW's first step without decay moves every weight by the rate, against the gradient")
  func firstStep() throws {
    for set in Samples.sets {
      let kernels = unsafe try #require(KernelTable(set)).kernels.pointee
      var update = LinearGradientTests.update(SAMARA_ADAMW)
      update.decay = 0
      let gradient: [Float] = [0.5, -2, 1e-3, 300]
      var weights: [Float] = [1, 1, 1, 1]
      var (first, second) = ([Float](repeating: 0, count: 4), [Float](repeating: 0, count: 4))
      update.first_correction = 1 / (1 - update.momentum)
      update.second_correction = 1 / (1 - update.second_momentum).squareRoot()
      unsafe kernels.optimizer_update(&update, &weights, gradient, &first, &second, 4)
      for (w, g) in zip(weights, gradient) {
        #expect(abs(w - (1 - 0.01 * (g < 0 ? -1 : 1))) < 1e-5)
      }
    }
  }
}
