// Apache-2.0.
import Execution
import GraphCompiler
import SharedRandomness
import Tensors

/// Graphs that use every operator, with random weights and inputs.
struct RandomGraph {
  let graph: Graph
  var integers: [String: [Int32]] = [:]
  let parameters: [String: [Float]]

  private static let vocabulary = 19

  /// A decoder block and its loss: embedding, RMS norm, rotary, grouped attention, gated layer.
  static func decoder(sequences: Int, positions: Int, seed: UInt64) throws -> RandomGraph {
    let (heads, keyHeads, dimension) = (4, 2, 6)
    let (width, inner) = (heads * dimension, 31)
    var builder = GraphBuilder()
    let ids = builder.input("input_ids", ValueType([sequences, positions], .integer))
    let lengths = builder.input("lengths", ValueType([sequences], .integer))
    let labels = builder.input("labels", ValueType([sequences * positions], .integer))
    let table = try builder.parameter("embed", [vocabulary, width])
    let angles = (0..<positions * dimension / 2).map { Float($0) * 0.1 }
    let shape: Shape = [positions, dimension / 2]
    let cosines = builder.constant(angles.map { 1 - $0 * $0 / 50 }, shape)
    let sines = builder.constant(angles.map { $0 / 10 }, shape)
    var hidden = try builder.embedding(ids, table)
    for layer in 0..<2 {
      func weight(_ name: String, _ shape: Shape) throws -> ParameterID {
        try builder.parameter("\(layer).\(name)", shape)
      }
      let normal = try builder.rmsNorm(hidden, gain: weight("norm", [width]), epsilon: 1e-5)
      let q = try builder.linear(normal, weight("q", [width, width]), bias: weight("q.b", [width]))
      let k = try builder.linear(normal, weight("k", [keyHeads * dimension, width]))
      let v = try builder.linear(normal, weight("v", [keyHeads * dimension, width]))
      let attended = try builder.attention(
        builder.rotary(q, cosines: cosines, sines: sines, headDimension: dimension),
        builder.rotary(k, cosines: cosines, sines: sines, headDimension: dimension),
        v,
        lengths: lengths,
        Attention(heads: heads, keyHeads: keyHeads, headDimension: dimension, isCausal: true)
      )
      hidden = try builder.linear(attended, weight("o", [width, width]), residual: hidden)
      let inside = try builder.rmsNorm(hidden, gain: weight("norm2", [width]), epsilon: 1e-5)
      let gate = try builder.linear(inside, weight("gate", [inner, width]))
      let up = try builder.linear(inside, weight("up", [inner, width]))
      let gated = try builder.siluMultiply(gate, up)
      hidden = try builder.linear(gated, weight("down", [width, inner]), residual: hidden)
    }
    let logits = try builder.linear(hidden, table)
    let loss = try builder.crossEntropy(hidden, table, labels: labels)
    var made = RandomGraph(
      builder.finish(outputs: [
        ("logits", logits), ("losses", loss.losses), ("predictions", loss.predictions),
      ]),
      seed: seed
    )
    made.fill(sequences: sequences, positions: positions, labels: sequences * positions)
    return made
  }

  /// An encoder layer and a classifier: learnt positions, layer norm, GELU, first row, tanh.
  static func encoder(sequences: Int, positions: Int, seed: UInt64) throws -> RandomGraph {
    let (heads, dimension, classes) = (3, 5, 7)
    let width = heads * dimension
    var builder = GraphBuilder()
    let ids = builder.input("input_ids", ValueType([sequences, positions], .integer))
    let lengths = builder.input("lengths", ValueType([sequences], .integer))
    let labels = builder.input("labels", ValueType([sequences], .integer))
    func weight(_ name: String, _ shape: Shape) throws -> ParameterID {
      try builder.parameter(name, shape)
    }
    let words = try builder.embedding(ids, weight("embed", [vocabulary, width]))
    let places = try builder.positions(
      weight("positions", [positions + 3, width]),
      sequences: sequences,
      positions: positions
    )
    let hidden = try builder.layerNorm(
      builder.add(words, places),
      gain: weight("norm", [width]),
      bias: weight("norm.b", [width]),
      epsilon: 1e-12
    )
    let q = try builder.linear(hidden, weight("q", [width, width]), bias: weight("q.b", [width]))
    // Of two parts nobody reads the second.
    let parts = try builder.split(builder.linear(hidden, weight("k", [2 * width, width])), into: 2)
    let attended = try builder.attention(
      q,
      parts[0],
      hidden,
      lengths: lengths,
      Attention(heads: heads, keyHeads: heads, headDimension: dimension, isCausal: false)
    )
    let inner = try builder.linear(
      attended,
      weight("inner", [2 * width, width]),
      bias: weight("inner.b", [2 * width]),
      activation: .gelu
    )
    let outer = try builder.linear(inner, weight("outer", [width, 2 * width]), residual: hidden)
    let first = try builder.row(.first, of: outer, lengths: lengths)
    let last = try builder.row(.last, of: outer, lengths: lengths)
    let pooled = try builder.linear(
      builder.add(first, last),
      weight("pooler", [width, width]),
      activation: .tanh
    )
    let head = try weight("head", [classes, width])
    let bias = try weight("head.b", [classes])
    let loss = try builder.crossEntropy(pooled, head, bias: bias, labels: labels)
    let logits = try builder.linear(pooled, head, bias: bias)
    var made = RandomGraph(
      builder.finish(outputs: [
        ("logits", logits), ("losses", loss.losses),
        ("predictions", loss.predictions),
      ]),
      seed: seed
    )
    made.fill(sequences: sequences, positions: positions, labels: sequences)
    made.integers["labels"] = made.integers["labels"]?.map { $0 < 0 ? $0 : $0 % Int32(classes) }
    return made
  }

  /// The same with adapters beside some linear layers, weights drawn anew.
  func adapted(_ adapters: Adapters, where isWanted: (String) -> Bool) -> RandomGraph {
    var made = RandomGraph(graph.adapted(adapters, where: isWanted), seed: 7)
    made.integers = integers
    return made
  }

  init(_ graph: Graph, seed: UInt64) {
    self.graph = graph
    var stream = RandomStream(key: seed, purpose: .headInitialization)
    parameters = Dictionary(
      uniqueKeysWithValues: graph.parameters.map { parameter in
        let values = (0..<parameter.shape.elementCount).map { _ in
          Float(Int32(bitPattern: stream.next())) * 0x1p-32
        }
        return (parameter.name, values)
      }
    )
  }

  private mutating func fill(sequences: Int, positions: Int, labels: Int) {
    let vocabulary = Self.vocabulary
    integers["input_ids"] = (0..<sequences * positions).map { Int32($0 * 7 % vocabulary) }
    integers["lengths"] = (0..<sequences).map { Int32(max(1, positions - 3 * $0)) }
    integers["labels"] = (0..<labels).map { Int32($0 % 5 == 4 ? -1 : $0 * 11 % vocabulary) }
  }

  /// The weights as a table; tensors named in `trainable` can change.
  func table(trainable: Set<String> = []) -> WeightTable {
    let shapes = Dictionary(uniqueKeysWithValues: graph.parameters.map { ($0.name, $0.shape) })
    let tensors = parameters.map { name, values in
      (name, StoredTensor(shape: shapes[name] ?? [], floats: values))
    }
    return WeightTable(Dictionary(uniqueKeysWithValues: tensors)) { trainable.contains($0) }
  }

  /// Names of all parameters.
  var names: Set<String> { Set(parameters.keys) }

  /// One of each kind.
  static func all(_ sequences: Int, _ positions: Int) throws -> [RandomGraph] {
    [
      try decoder(sequences: sequences, positions: positions, seed: 1),
      try encoder(sequences: sequences, positions: positions, seed: 2),
      try images(sequences, height: positions % 6 + 2, width: positions % 5 + 3, seed: 3),
    ]
  }

  /// The outputs by the definitions, at parameters moved by `shift` in binary64.
  func reference(exactly shift: (String, Int) -> Double) throws -> [String: [Double]] {
    try ReferenceInterpreter(graph).run(
      inputs: integers.mapValues { $0.map(Double.init) },
      parameters: Dictionary(
        uniqueKeysWithValues: parameters.map { name, values in
          (name, values.enumerated().map { Double($1) + shift(name, $0) })
        }
      )
    )
  }

  /// The outputs by the definitions, at parameters moved by `shift`.
  func reference(_ shift: (String, Int) -> Float = { _, _ in 0 }) throws -> [String: [Double]] {
    try ReferenceInterpreter(graph).run(
      inputs: integers.mapValues { $0.map(Double.init) },
      parameters: Dictionary(
        uniqueKeysWithValues: parameters.map { name, values in
          (name, values.enumerated().map { Double($1 + shift(name, $0)) })
        }
      )
    )
  }
}
