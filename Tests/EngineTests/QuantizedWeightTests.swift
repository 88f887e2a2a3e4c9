// Apache-2.0.
import Execution
import GraphCompiler
import Tensors
import Testing

@Suite("Frozen weights in one byte an element")
struct QuantizedWeightTests {
  private static let shape: Shape = [37, 50]
  private static let values: [Float] = (0..<shape.elementCount).map { (i: Int) -> Float in
    let size = Float(1 + i / 50)
    return Float((i * 7919) % 2003 - 1001) / 1001 * size
  }

  private func floats(_ tensor: StoredTensor) throws -> [Float] {
    let table = WeightTable(["w": tensor]) { _ in false }
    return try #require(table.floats(of: "w"))
  }

  @Test("Every element is within half a step of its row, the largest at 127 steps")
  func rounding() throws {
    let stored = StoredTensor(shape: Self.shape, floats: Self.values)
    let quantized = stored.quantized()
    #expect(quantized.type == .i8)
    let read = try floats(quantized)
    for row in 0..<Self.shape.rows {
      let range = row * Self.shape.columns..<(row + 1) * Self.shape.columns
      let step = (Self.values[range].map(abs).max() ?? 0) / 127
      for i in range { #expect(abs(read[i] - Self.values[i]) <= step * 0.5001) }
    }
  }

  @Test("A row of zeros stays zeros, and what is quantised already stays as it is")
  func again() throws {
    let zeros = StoredTensor(shape: [2, 3], floats: [0, 0, 0, 0, 1, 0])
    #expect(try floats(zeros.quantized()) == [0, 0, 0, 0, 1, 0])
    let once = StoredTensor(shape: Self.shape, floats: Self.values).quantized()
    let (first, second) = (try floats(once), try floats(once.quantized()))
    for (a, b) in zip(first, second) { #expect(abs(a - b) <= 1e-6 * abs(a)) }
  }

  @Test("A layer reads the integers as the floats they stand for, to the bit")
  func layer() throws {
    let quantized = StoredTensor(shape: Self.shape, floats: Self.values).quantized()
    let plain = StoredTensor(shape: Self.shape, floats: try floats(quantized))
    for rows in [1, 5, 40] {
      var builder = GraphBuilder()
      let x = builder.input("x", ValueType([rows, 50]))
      let y = try builder.linear(x, builder.parameter("w", Self.shape))
      let graph = builder.finish(outputs: [("y", y)])
      let input = (0..<rows * 50).map { Float($0 % 101) / 50 - 1 }
      let results = try [quantized, plain].map { tensor in
        let team = ThreadTeam(threads: 2)
        let workspace = Workspace(WeightTable(["w": tensor]) { _ in false }, team: team)
        let plan = try BoundPlan(ExecutionPlan(graph, threads: 2), in: workspace)
        try plan.set("x", floats: input)
        plan.run()
        return try plan.floats("y")
      }
      #expect(results[0] == results[1])
    }
  }
}
