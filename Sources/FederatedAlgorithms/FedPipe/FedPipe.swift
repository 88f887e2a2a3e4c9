// Apache-2.0.
import Codecs
import FederatedCore

/// FedPipe's aggregation (Fang et al., arXiv 2404.06448): adapters of unequal ranks meet as products.
///
/// A device trains the first r of the R ranks of a version, as many as it has room for, and answers
/// with the nearest product of that rank to what B·A moved by; the server adds the mean of these to the
/// product of the version and factors it again, the largest ranks first, so that what is averaged is
/// what the model computes with. The base holds adapters of zeros: a version is A and B whole.
///
/// A payload is its rank, a varint, and columns and rows through the codec.
struct FedPipe: AlgorithmSession {
  static let name = "fedpipe"
  private static let keys = ["steps", "scale_exponent", "server_rate", "minimum_rank"]

  private let key: UInt64
  private let client: DenseClient
  private let rate: Double
  private let scaleExponent: Int
  private let minimumRank: Int
  private var layout: FedPipeLayout?
  private var state: DenseState?
  /// The change of the last fold.
  private var change: [UInt8]?

  init(_ configuration: JSONValue, key: UInt64) throws(AlgorithmError) {
    let settings = try AlgorithmSettings(
      configuration,
      known: Self.keys + DenseClient.keys.filter { !["density", "error_feedback"].contains($0) }
    )
    self.key = key
    client = try DenseClient(settings, preset: .average)
    guard !client.codec.isSparse else {
      throw .setting("codec", "factors have no few large elements; write fixed32 or a block codec")
    }
    rate = try settings.number("server_rate", in: 1e-9...100, standard: 1)
    scaleExponent = try settings.integer("scale_exponent", in: 8...30, standard: 24)
    minimumRank = try settings.integer("minimum_rank", in: 1...4096, standard: 1)
  }

  /// A move of a product counts from wherever the product is by then.
  var acceptsStaleTasks: Bool { true }

  var deviceNeeds: DeviceNeeds? { DeviceNeeds(rule: client.rule, minimumRank: minimumRank) }

  mutating func begin(_ blocks: [ParameterBlock]) throws {
    let layout = try FedPipeLayout(blocks)
    if self.layout == layout { return }
    guard layout.rank >= minimumRank else {
      throw AlgorithmError.setting(
        "minimum_rank",
        "\(minimumRank); the scheme's rank is \(layout.rank)"
      )
    }
    self.layout = layout
    state = fresh(layout)
  }

  func train(_ task: LocalTask, on trainer: inout any LocalTrainer) throws -> LocalResult {
    let (whole, state) = try begun()
    let layout = try FedPipeLayout(trainer.blocks)
    let amounts = try whole.part(of: state.amounts, for: layout)
    var moved: [Float] = []
    let descent = try client.descend(task, on: &trainer)
    try trainer.difference(into: &moved)
    guard moved.allSatisfy(\.isFinite) else {
      throw AlgorithmError.diverged(
        client: task.client,
        round: task.round,
        "weights are not finite after \(task.steps) steps; lower learning_rate"
      )
    }
    let unit = self.unit(scaleExponent)
    var values: [Float] = []
    for pair in layout.pairs {
      let before = layout.terms(pair) { Double(amounts[$0]) * unit }
      var difference = layout.terms(pair) { Double(amounts[$0]) * unit + Double(moved[$0]) }
      for (column, row) in zip(before.left, before.right) {
        difference.append(column.map { -$0 }, row)
      }
      let nearest = difference.nearest(rank: pair.rank)
      for index in 0..<pair.rank {
        guard index < nearest.left.count else {
          values += [Float](repeating: 0, count: pair.outputs + pair.inputs)
          continue
        }
        values += nearest.left[index].map { Float($0 / FedPipeLayout.rowLength) }
        values += nearest.right[index].map { Float($0 * FedPipeLayout.rowLength) }
      }
    }
    for range in layout.others { values += moved[range] }
    guard
      var sent = IntegerKernels.fixedPoint(
        values,
        exponent: client.exponent,
        bound: DenseClient.bound
      )
    else {
      throw AlgorithmError.diverged(
        client: task.client,
        round: task.round,
        "the product of an adapter is not finite; lower learning_rate"
      )
    }
    var payload = ByteWriter()
    payload.write(count: layout.rank)
    payload.write(bytes: client.codec.encode(&sent))
    return LocalResult(
      payload: payload.bytes,
      meanLoss: descent.meanLoss,
      skippedSteps: descent.skipped
    )
  }

  func check(_ payload: [UInt8], for task: LocalTask) throws {
    _ = try split(payload, of: task, wholly: true)
  }

  mutating func fold(_ contributions: [Contribution]) throws {
    let (layout, before) = try begun()
    var taken: [(contribution: Contribution, rank: Int, amounts: [Int32])] = []
    // In one order, so that sums of binary64 are the same whoever came first.
    for contribution in contributions.sorted(by: Self.comesFirst) {
      let task = contribution.task
      guard contribution.weight <= Contribution.aggregationWeight else {
        throw AlgorithmError.payload(
          client: task.client,
          round: task.round,
          "weight \(contribution.weight) is past \(Contribution.aggregationWeight)"
        )
      }
      let (rank, payload) = try split(contribution.payload, of: task, wholly: false)
      taken.append((contribution, rank, try payload.decoded()))
    }
    var after = before.integers
    var starts = [Int](repeating: 0, count: taken.count)
    for (index, pair) in layout.pairs.enumerated() {
      var terms = layout.terms(pair) { Double(before.amounts[$0]) * unit(scaleExponent) }
      for (which, (contribution, rank, amounts)) in taken.enumerated() {
        let factor = rate * Double(contribution.weight) * unit(16 + client.exponent)
        for _ in 0..<min(rank, pair.rank) {
          let middle = starts[which] + pair.outputs
          let end = middle + pair.inputs
          terms.append(
            amounts[starts[which]..<middle].map { Double($0) * factor },
            amounts[middle..<end].map { Double($0) * unit(client.exponent) }
          )
          starts[which] = end
        }
      }
      write(terms.nearest(rank: pair.rank), as: index, of: layout, into: &after)
    }
    for range in layout.others {
      for element in range {
        var sum: Int64 = 0
        for (which, (contribution, _, amounts)) in taken.enumerated() {
          sum &+= Int64(contribution.weight) &* Int64(amounts[starts[which]])
          starts[which] += 1
        }
        let step = Double(sum) * unit(16 + client.exponent) * rate
        after[element] = integer(Double(after[element]) * unit(scaleExponent) + step)
      }
    }
    var difference = IntegerKernels.difference(after, before.integers)
    change = DeltaCodec.fixed(bits: 32).encode(&difference)
    state?.set(after)
  }

  func advance() -> [UInt8]? { change ?? [] }

  mutating func advance(by bytes: [UInt8]) throws {
    var state = try begun().state
    do throws(CodecError) {
      try state.add(DeltaPayload(bytes, codec: .fixed(bits: 32), count: state.count))
      self.state = state
    } catch {
      throw FederationError.advance("\(error)")
    }
  }

  func weightUpdates() throws -> [WeightUpdate] {
    try begun().state.weightUpdates(scaleExponent: scaleExponent)
  }

  func weightUpdates(for blocks: [ParameterBlock]) throws -> [WeightUpdate] {
    let (layout, state) = try begun()
    let amounts = try layout.part(of: state.amounts, for: FedPipeLayout(blocks))
    return [.integers(IntegerUpdate(scaleExponent: scaleExponent, amounts: amounts))]
  }

  func snapshot() -> [UInt8] { state?.snapshot() ?? [0] }

  mutating func restore(_ snapshot: [UInt8]) throws {
    let count = try begun().layout.count
    do throws(CodecError) {
      let state = try DenseState(snapshot, count: count)
      guard !state.amounts.isEmpty else {
        throw .malformed(field: "snapshot", reason: "holds no adapters")
      }
      self.state = state
    } catch {
      throw AlgorithmError.snapshot("\(error)")
    }
    change = nil
  }

  func digest(base: Digest) -> Digest {
    (state ?? DenseState(count: 0))
      .digest(base: base, name: Self.name, scaleExponent: scaleExponent)
  }
}

extension FedPipe {
  private func begun() throws(AlgorithmError) -> (layout: FedPipeLayout, state: DenseState) {
    guard let layout, let state else { throw .notBegun }
    return (layout, state)
  }

  /// The rank of a payload, and its columns and rows.
  private func split(
    _ payload: [UInt8],
    of task: LocalTask,
    wholly: Bool
  ) throws -> (rank: Int, elements: DeltaPayload) {
    let layout = try begun().layout
    var reader = ByteReader(payload)
    guard let rank = try? reader.readCount(limit: layout.rank, field: "rank"), rank >= minimumRank
    else {
      throw AlgorithmError.payload(
        client: task.client,
        round: task.round,
        "its rank is none of \(minimumRank)...\(layout.rank)"
      )
    }
    let elements = try client.payload(
      Array(payload.suffix(reader.remaining)),
      of: task,
      count: layout.payloadCount(rank: rank),
      wholly: wholly
    )
    return (rank, elements)
  }

  /// Adapters that compute nothing yet.
  private func fresh(_ layout: FedPipeLayout) -> DenseState {
    var state = DenseState(count: layout.count)
    var integers = state.integers
    for index in layout.pairs.indices {
      write(ProductTerms(), as: index, of: layout, into: &integers)
    }
    state.set(integers)
    return state
  }

  /// Factors of orthogonal rows of one length, and fresh rows where the product has no more of them.
  private func write(
    _ terms: ProductTerms,
    as index: Int,
    of layout: FedPipeLayout,
    into integers: inout [Int32]
  ) {
    let pair = layout.pairs[index]
    for row in 0..<pair.rank {
      let column = row < terms.left.count ? terms.left[row] : []
      // A column of zero units would leave its row nothing to do.
      let isAlive = column.contains { integer($0 / FedPipeLayout.rowLength) != 0 }
      let values =
        isAlive
        ? terms.right[row].map { $0 * FedPipeLayout.rowLength }
        : layout.freshRow(row, ofPair: index, key: key)
      for (place, value) in values.enumerated() {
        integers[pair.a.lowerBound + row * pair.inputs + place] = integer(value)
      }
      for place in 0..<pair.outputs {
        integers[pair.b.lowerBound + place * pair.rank + row] =
          isAlive ? integer(column[place] / FedPipeLayout.rowLength) : 0
      }
    }
  }

  private func unit(_ exponent: Int) -> Double {
    Double(sign: .plus, exponent: -exponent, significand: 1)
  }

  private func integer(_ value: Double) -> Int32 {
    let bound = Double(DenseState.bound)
    let scaled = (value * Double(sign: .plus, exponent: scaleExponent, significand: 1))
      .rounded(.toNearestOrEven)
    return Int32(max(-bound, min(bound, scaled)))
  }

  private static func comesFirst(_ a: Contribution, _ b: Contribution) -> Bool {
    (a.task.round, a.task.client) < (b.task.round, b.task.client)
  }
}
