// Apache-2.0.
import Codecs
import FederatedCore

/// FedPipe's aggregation (Fang et al., arXiv 2404.06448): adapters of unequal ranks meet as products.
///
/// A device answers with the nearest product of its rank to what B·A moved by; the server adds the mean
/// of these to the product of the version and factors it again, so that what is averaged is what the
/// model computes with. The base holds adapters of zeros: a version is A and B whole.
struct FedPipe: AlgorithmSession {
  static let name = "fedpipe"
  private static let keys = [
    "steps", "scale_exponent", "server_rate", "full_steps", "minimum_rank",
  ]

  private let key: UInt64
  private let client: DenseClient
  private let rate: Double
  private let scaleExponent: Int
  /// Steps of a task whose device trains all of the rank; 0 where all do.
  private let fullSteps: Int
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
    fullSteps = try settings.integer("full_steps", in: 0...DenseClient.maximumSteps, standard: 0)
    minimumRank = try settings.integer("minimum_rank", in: 1...4096, standard: 1)
  }

  /// A move of a product counts from wherever the product is by then.
  var acceptsStaleTasks: Bool { true }

  mutating func begin(_ blocks: [ParameterBlock]) throws {
    let layout = try FedPipeLayout(blocks)
    if self.layout == layout { return }
    self.layout = layout
    state = fresh(layout)
  }

  func train(_ task: LocalTask, on trainer: inout any LocalTrainer) throws -> LocalResult {
    let (layout, state) = try begun()
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
    let (amounts, unit) = (state.amounts, unit(scaleExponent))
    var values: [Float] = []
    for pair in layout.pairs {
      let before = layout.terms(pair) { Double(amounts[$0]) * unit }
      var difference = layout.terms(pair) { Double(amounts[$0]) * unit + Double(moved[$0]) }
      for (column, row) in zip(before.left, before.right) {
        difference.append(column.map { -$0 }, row)
      }
      let rank = rank(of: pair, in: task)
      let nearest = difference.nearest(rank: rank)
      for index in 0..<rank {
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
    return LocalResult(
      payload: client.codec.encode(&sent),
      meanLoss: descent.meanLoss,
      skippedSteps: descent.skipped
    )
  }

  func check(_ payload: [UInt8], for task: LocalTask) throws {
    let layout = try begun().layout
    _ = try client.payload(payload, of: task, count: count(layout, task), wholly: true)
  }

  mutating func fold(_ contributions: [Contribution]) throws {
    let (layout, before) = try begun()
    var taken: [(contribution: Contribution, amounts: [Int32])] = []
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
      let payload = try client.payload(
        contribution.payload,
        of: task,
        count: count(layout, task),
        wholly: false
      )
      taken.append((contribution, try payload.decoded()))
    }
    var after = before.integers
    var starts = [Int](repeating: 0, count: taken.count)
    for (index, pair) in layout.pairs.enumerated() {
      var terms = layout.terms(pair) { Double(before.amounts[$0]) * unit(scaleExponent) }
      for (which, (contribution, amounts)) in taken.enumerated() {
        let factor = rate * Double(contribution.weight) * unit(16 + client.exponent)
        for _ in 0..<rank(of: pair, in: contribution.task) {
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
        for (which, (contribution, amounts)) in taken.enumerated() {
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

  private func rank(of pair: FedPipeLayout.Pair, in task: LocalTask) -> Int {
    FedPipeLayout.rank(pair, steps: task.steps, full: fullSteps, minimum: minimumRank)
  }

  /// Elements of a task's payload: for each pair and each of its ranks a column and a row, then the
  /// elements of no adapter.
  private func count(_ layout: FedPipeLayout, _ task: LocalTask) -> Int {
    layout.pairs.reduce(layout.others.reduce(0) { $0 + $1.count }) { sum, pair in
      sum + rank(of: pair, in: task) * (pair.outputs + pair.inputs)
    }
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
