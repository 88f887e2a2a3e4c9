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

  /// The highest rank of an adapter.
  var rank: Int { pairs.reduce(0) { max($0, $1.rank) } }

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

  /// Elements of a payload of a device with adapters of `rank`: for each pair and each of its ranks a
  /// column and a row, then the elements of no adapter.
  func payloadCount(rank: Int) -> Int {
    pairs.reduce(others.reduce(0) { $0 + $1.count }) { sum, pair in
      sum + min(rank, pair.rank) * (pair.outputs + pair.inputs)
    }
  }

  /// Elements of this layout as a device with another one has them: the first rows of A and columns of B.
  ///
  /// - Throws: `AlgorithmError` where the device has more ranks, or other tensors.
  func part<Element>(
    of elements: [Element],
    for device: FedPipeLayout
  ) throws(AlgorithmError) -> [Element] {
    if device == self { return elements }
    guard device.others.map(\.count) == others.map(\.count), device.pairs.count == pairs.count,
      let filler = elements.first,
      zip(pairs, device.pairs).allSatisfy({
        $0.inputs == $1.inputs && $0.outputs == $1.outputs && $0.rank >= $1.rank
      })
    else { throw .setting("scheme", "the device's adapters are no part of the run's") }
    var part = [Element](repeating: filler, count: device.count)
    for (whole, own) in zip(pairs, device.pairs) {
      for place in 0..<own.a.count {
        part[own.a.lowerBound + place] = elements[whole.a.lowerBound + place]
      }
      for row in 0..<own.outputs {
        for column in 0..<own.rank {
          part[own.b.lowerBound + row * own.rank + column] =
            elements[whole.b.lowerBound + row * whole.rank + column]
        }
      }
    }
    for (whole, own) in zip(others, device.others) {
      for (target, source) in zip(own, whole) { part[target] = elements[source] }
    }
    return part
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
