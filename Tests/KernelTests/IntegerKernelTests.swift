// Apache-2.0.
import CKernels
import Tensors
import Testing

/// Dense integers are part of a version: every bit equals the scalar oracle, and the oracle the definition.
@Suite("Kernels of dense integers")
struct IntegerKernelTests {
  static let counts = [0, 1, 7, 8, 15, 16, 17, 31, 63, 64, 65, 255, 1000]

  private func integers(_ count: Int, seed: Int, largest: Int32 = 1 << 30) -> [Int32] {
    (0..<count).map { index in
      let value = Samples.value(index, seed: seed) * (index % 9 == 0 ? 1 : 0x1p-12)
      return Int32(Double(value) * Double(largest))
    }
  }

  private func each(_ body: (samara_kernel_table, InstructionSet) -> Void) {
    for set in Samples.sets {
      guard let table = KernelTable(set) else { continue }
      unsafe body(table.kernels.pointee, set)
    }
  }

  @Test("Floats become integers to the nearest, within the bound, and none that is not finite does")
  func fixedPoint() {
    for count in Self.counts {
      var values = (0..<count).map { Samples.value($0, seed: 2) * ($0 % 5 == 0 ? 9 : 1e-3) }
      if count > 6 {
        values[3] = .nan
        values[5] = -.infinity
        values[6] = 0x1.8p-28
      }
      let wanted = values.map { value -> Int32 in
        guard value.isFinite else { return 0 }
        let exact = (Double(value) * 0x1p28).rounded(.toNearestOrEven)
        return Int32(max(-0x1p30, min(0x1p30, exact)))
      }
      each { kernels, set in
        var amounts = [Int32](repeating: 5, count: count + 1)
        let refused = unsafe kernels.fixed_point(values, Int64(count), 28, 1 << 30, &amounts)
        #expect(refused == (count > 6 ? 2 : 0), "\(set)")
        #expect(Array(amounts.prefix(count)) == wanted && amounts[count] == 5, "\(set)")
      }
    }
  }

  @Test("Sums, differences, bounds and norms are those of integers")
  func sums() {
    for count in Self.counts {
      let (a, b) = (integers(count, seed: 3), integers(count, seed: 4))
      each { kernels, set in
        var sums = [Int64](repeating: 7, count: count)
        unsafe kernels.accumulate_scaled(&sums, a, Int64(count), 1 << 20)
        #expect(sums == a.map { 7 + Int64($0) << 20 }, "\(set)")
        var bounded = a
        unsafe kernels.add_bounded(&bounded, b, Int64(count), 1 << 29)
        #expect(bounded == zip(a, b).map { max(-(1 << 29), min(1 << 29, $0 + $1)) }, "\(set)")
        var difference = [Int32](repeating: 0, count: count)
        unsafe kernels.subtract_i32(a, b, Int64(count), &difference)
        #expect(difference == zip(a, b).map { $0 - $1 }, "\(set)")
        let largest = unsafe kernels.largest_magnitude(a, Int64(count))
        #expect(largest == a.map { abs($0) }.max() ?? 0, "\(set)")
        let norm = unsafe kernels.squared_norm_i32(a, Int64(count))
        let scalar = unsafe KernelTable(.scalar)?.kernels.pointee.squared_norm_i32(a, Int64(count))
        let exact = a.reduce(0.0) { $0 + Double($1) * Double($1) }
        #expect(norm == scalar && abs(norm - exact) <= 1e-12 * exact, "\(set)")
      }
    }
  }

  @Test("Codes of eight bits, of four and in planes lose nothing that is not left")
  func codes() {
    for count in Self.counts {
      let given = integers(count, seed: 5)
      each { kernels, set in
        for (step, limit) in [(Int32(1 << 24), Int32(127)), (1 << 28, 7), (3, 127)] {
          var left = given
          var codes = [Int8](repeating: 0, count: count)
          unsafe kernels.quantize_codes(&left, Int64(count), step, limit, &codes)
          #expect(codes.allSatisfy { abs(Int32($0)) <= limit }, "\(set)")
          if step > 3 { #expect(left.allSatisfy { abs($0) <= step / 2 + 1 }, "\(set)") }
          var decoded = [Int32](repeating: 0, count: count)
          unsafe kernels.expand_codes(codes, Int64(count), step, &decoded)
          #expect(zip(decoded, left).map { $0 + $1 } == given, "\(set)")
          guard limit == 7 else { continue }
          var bytes = [UInt8](repeating: 0xEE, count: (count + 1) / 2)
          unsafe kernels.pack_nibbles(codes, Int64(count), &bytes)
          var again = [Int8](repeating: 0, count: count)
          unsafe kernels.unpack_nibbles(bytes, Int64(count), &again)
          #expect(again == codes, "\(set)")
        }
        for (shift, planes) in [(Int32(0), Int32(4)), (16, 2)] {
          var left = given
          var codes = [Int32](repeating: 0, count: count)
          unsafe kernels.shift_codes(&left, Int64(count), shift, &codes)
          var bytes = [UInt8](repeating: 0, count: Int(planes) * count)
          unsafe kernels.split_planes(codes, Int64(count), planes, &bytes)
          var decoded = [Int32](repeating: 0, count: count)
          unsafe kernels.join_planes(bytes, Int64(count), planes, shift, &decoded)
          #expect(zip(decoded, left).map { $0 + $1 } == given, "\(set)")
          #expect(left.allSatisfy { abs($0) <= (1 << shift) / 2 }, "\(set)")
        }
      }
    }
  }

  @Test("Trimmed sums are those of sorted columns")
  func trimmed() {
    for (rows, dropped) in [(1, 0), (2, 0), (3, 1), (8, 2), (9, 4)] {
      for count in Self.counts {
        let values = integers(rows * count, seed: 6 + rows)
        let wanted = (0..<count).map { column in
          (0..<rows).map { Int64(values[$0 * count + column]) }.sorted()
            .dropFirst(dropped).dropLast(dropped).reduce(0, +)
        }
        each { kernels, set in
          var sums = [Int64](repeating: 0, count: count)
          var scratch = [Int32](repeating: 0, count: 16 * rows)
          unsafe kernels.trimmed_sums(
            values,
            Int64(count),
            Int32(rows),
            Int64(count),
            Int32(dropped),
            &sums,
            &scratch
          )
          #expect(sums == wanted, "\(set)")
        }
      }
    }
  }

  @Test("A server's step has the same bits in every instruction set")
  func serverStep() {
    for rule in Int32(0)..<4 {
      for count in Self.counts {
        let sums = integers(count, seed: 7).map { Int64($0) << 16 }
        var results: [([Int32], [Double], [Double])] = []
        each { kernels, _ in
          var step = samara_server_step()
          (step.rule, step.bound) = (rule, 1 << 30 - 1)
          (step.unit, step.scale, step.rate) = (0x1p-48, 0x1p24, 0.7)
          (step.beta1, step.beta2, step.tau) = (0.9, 0.99, 1e-3)
          var amounts = integers(count, seed: 8)
          var first = (0..<count).map { Double(Samples.value($0, seed: 9)) }
          var second = first.map { $0 * $0 }
          unsafe kernels.server_step(&step, sums, &amounts, &first, &second, Int64(count))
          results.append((amounts, first, second))
        }
        for other in results.dropFirst() {
          #expect(other.0 == results[0].0 && other.1 == results[0].1 && other.2 == results[0].2)
        }
        guard rule == 0 else { continue }
        let wanted = zip(integers(count, seed: 8), sums).map { amount, sum in
          let exact = (0.7 * (Double(sum) * 0x1p-48) * 0x1p24).rounded(.toNearestOrEven)
          return Int32(max(-0x1p30 + 1, min(0x1p30 - 1, Double(amount) + exact)))
        }
        #expect(results[0].0 == wanted)
      }
    }
  }
}
