// Apache-2.0.
import FederatedCore
import SharedRandomness

/// Which trainable elements are A and B of adapters, and which are on their own.
struct FedPipeLayout: Sendable, Equatable {
  /// A [rank, inputs] and B [outputs, rank] beside one matrix.
  struct Pair: Sendable, Equatable {
    let a: Range<Int>
    let b: Range<Int>
    let rank: Int

    var inputs: Int { a.count / rank }
    var outputs: Int { b.count / rank }
  }

  let pairs: [Pair]
  /// Elements of no adapter.
  let others: [Range<Int>]
  /// Trainable elements, d.
  let count: Int

  /// Length of the rows of A, that of rows uniform in ±1/√inputs.
  static let rowLength = (1.0 / 3).squareRoot()

  init(_ blocks: [ParameterBlock]) throws(AlgorithmError) {
    let (a, b) = (".lora_A.weight", ".lora_B.weight")
    var pairs: [Pair] = []
    var others: [Range<Int>] = []
    for block in blocks where !block.name.hasSuffix(b) {
      guard block.name.hasSuffix(a) else {
        others.append(block.range)
        continue
      }
      let partner = block.name.dropLast(a.count) + b
      guard let other = blocks.first(where: { $0.name == partner }), block.shape.count == 2,
        other.shape.count == 2, block.shape[0] > 0, block.shape[0] == other.shape[1]
      else { throw .setting("name", "\(block.name) has no B of its rank; train both") }
      pairs.append(Pair(a: block.range, b: other.range, rank: block.shape[0]))
    }
    guard !pairs.isEmpty else {
      throw .setting("name", "fedpipe trains adapters; write scheme: \"lora:rank=8\"")
    }
    self.pairs = pairs
    self.others = others
    count = blocks.last?.range.upperBound ?? 0
  }

  /// The rank of a pair for a device that runs `steps` of the `full` steps of the fastest; all of the
  /// rank where `full` is zero.
  static func rank(_ pair: Pair, steps: Int, full: Int, minimum: Int) -> Int {
    guard full > 0 else { return pair.rank }
    return min(pair.rank, max(minimum, (pair.rank * min(steps, full) + full / 2) / full))
  }

  /// Row `row` of A as it is where nothing was learned: signs, of one length.
  func freshRow(_ row: Int, ofPair pair: Int, key: UInt64) -> [Double] {
    let inputs = pairs[pair].inputs
    let magnitude = Self.rowLength / Double(inputs).squareRoot()
    var bits = SIMD4<UInt32>()
    return (0..<inputs).map { index in
      if index % 128 == 0 {
        let counter = SIMD4(
          UInt32(index / 128),
          UInt32(row),
          UInt32(pair),
          UInt32(Purpose.freshAdapters.rawValue) << 24
        )
        bits = Philox.block(counter, key: key)
      }
      return bits[index % 128 / 32] >> UInt32(index % 32) & 1 == 1 ? -magnitude : magnitude
    }
  }

  /// The adapter of a pair as outer products; `value` gives elements by their place.
  func terms(_ pair: Pair, _ value: (Int) -> Double) -> ProductTerms {
    var terms = ProductTerms()
    for row in 0..<pair.rank {
      terms.append(
        (0..<pair.outputs).map { value(pair.b.lowerBound + $0 * pair.rank + row) },
        (0..<pair.inputs).map { value(pair.a.lowerBound + row * pair.inputs + $0) }
      )
    }
    return terms
  }
}
