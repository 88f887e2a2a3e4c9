// Apache-2.0.
import Codecs
import FederatedCore
import SharedRandomness

/// Ferret on a model: what its numbers mean, given the shapes of what trains.
struct FerretPlan: Sendable, Equatable {
  /// What a coordinate adds to an accumulator, in units of 2^−(scaleExponent + 16) and, after the
  /// client's weight, of 2^−(scaleExponent + 32).
  struct Move: Sendable, Equatable {
    let direction: UInt32
    var amount: Int64
  }

  let settings: FerretSettings
  let layout: FerretLayout
  /// Units of each block: a client's amounts sum to at most 2^30 of them.
  let scaleExponents: [Int]
  private let key: UInt64
  private let largestNorm: NormByte

  /// Blocks at most, and rows of an independent bank a client.
  static let limit = 1 << 16

  init(
    _ settings: FerretSettings,
    blocks: [ParameterBlock],
    key: UInt64
  ) throws(AlgorithmError) {
    self.settings = settings
    self.key = key
    let layout = FerretLayout(blocks)
    guard layout.ranges.count <= Self.limit else {
      throw .setting("name", "\(layout.ranges.count) blocks; ferret takes \(Self.limit)")
    }
    let largest = NormByte(covering: settings.norm)
    scaleExponents = layout.ranges.map { range in
      let terms = Double(min(settings.coordinates + settings.minimum, Self.limit))
      let sum = min(
        CoordinateCode.largestRatio * largest.value,
        terms * settings.clip / Double(range.count).squareRoot()
      )
      // The exponent of a binary64 is the floor of its logarithm; the bounds of the settings and of
      // block sizes keep it from 7 to 75.
      return Int((0x1p30 / (settings.rate * sum)).exponent)
    }
    self.layout = layout
    largestNorm = largest
  }

  /// Rows a client may draw from for a block.
  private func rows(_ block: Int) -> Int {
    settings.isHadamard ? 1 << layout.log2Rows(block) : Self.limit
  }

  /// The bank of a block for tasks of a version.
  func bank(_ block: Int, round: UInt32) -> DirectionBank {
    DirectionBank(
      family: settings.isHadamard
        ? .hadamard(log2Count: layout.log2Rows(block)) : .independent,
      key: key,
      epoch: round
    )
  }

  /// The first `count` directions of a task for a block: a start of one order of all rows.
  private func directions(_ count: Int, block: Int, for task: LocalTask) -> [UInt32] {
    let isOwn = settings.directions == .own
    guard settings.isHadamard else {
      return (0..<UInt32(count)).map { isOwn ? task.client << 16 | $0 : $0 }
    }
    var stream = RandomStream(
      key: key,
      purpose: .directionDraw,
      round: task.round,
      client: isOwn ? task.client : .max,
      step: UInt32(block)
    )
    var order = Array(0..<UInt32(rows(block)))
    for index in 0..<count {
      order.swapAt(index, index + Int(stream.uniform(below: UInt32(order.count - index))))
    }
    return Array(order.prefix(count))
  }

  private func budgets(_ norms: [NormByte]) -> [Int] {
    layout.budgets(
      norms,
      total: settings.coordinates,
      minimum: settings.minimum,
      by: settings.budget,
      rows: rows
    )
  }

  /// The client's half: what travels of a difference, and how many of its numbers were cut.
  func payload(of difference: [Float], for task: LocalTask) throws -> (bytes: [UInt8], cut: Int) {
    var rounding: [RandomStream] = []
    var norms: [NormByte] = []
    var scales: [Double] = []
    var cut = 0
    for (block, range) in layout.ranges.enumerated() {
      var stream = RandomStream(
        key: key,
        purpose: .rounding,
        round: task.round,
        client: task.client,
        step: UInt32(block)
      )
      let norm = Self.norm(difference.span.extracting(range))
      // A block that went astray says nothing.
      let bounded = norm.isFinite ? min(norm, settings.norm) : 0
      if !(norm <= settings.norm) { cut += 1 }
      norms.append(NormByte(bounded, random: stream.next32()))
      scales.append(norm > 0 && bounded > 0 ? bounded / norm : 0)
      rounding.append(stream)
    }
    var bytes = norms.map(\.byte)
    var packer = BitPacker()
    for (block, count) in budgets(norms).enumerated() where count > 0 {
      let values = bank(block, round: task.round).project(
        difference.span.extracting(layout.ranges[block]),
        elements: layout.ranges[block],
        rows: directions(count, block: block, for: task)
      )
      let unit = scales[block] / norms[block].value
      for value in values {
        let code = try settings.code.code(value * unit, random: rounding[block].next32())
        packer.append(code, bits: settings.code.bits)
      }
    }
    bytes += packer.finish()
    return (bytes, cut)
  }

  /// The norm of a block, in binary64.
  private static func norm(_ values: Span<Float>) -> Double {
    var sum = 0.0
    for index in 0..<values.count {
      let value = Double(values[index])
      sum += value * value
    }
    return sum.squareRoot()
  }

  func check(_ payload: [UInt8], for task: LocalTask) throws(AlgorithmError) {
    _ = try moves(payload, for: task)
  }

  /// What a payload adds, block by block; refuses what `payload` cannot have made.
  func moves(
    _ payload: [UInt8],
    for task: LocalTask
  ) throws(AlgorithmError) -> [(block: Int, moves: [Move])] {
    func refused(_ fault: String) -> AlgorithmError {
      .payload(client: task.client, round: task.round, fault)
    }
    guard task.steps > 0, task.steps <= LocalDescent.maximumSteps else {
      throw refused("\(task.steps) steps; a task has 1 to \(LocalDescent.maximumSteps)")
    }
    guard settings.directions == .shared || settings.isHadamard || task.client < Self.limit else {
      throw refused("runs with own independent directions number at most \(Self.limit) clients")
    }
    let blocks = layout.ranges.count
    guard payload.count >= blocks else {
      throw refused("\(payload.count) bytes for \(blocks) norms")
    }
    let norms = payload.prefix(blocks).map(NormByte.init(byte:))
    guard norms.allSatisfy({ $0.units <= largestNorm.units }) else {
      throw refused("a block moved by more than \(settings.norm)")
    }
    let counts = budgets(norms)
    let bits = settings.code.bits
    let expected = blocks + (counts.reduce(0, +) * bits + 7) / 8
    guard payload.count == expected else {
      throw refused("\(payload.count) bytes where the norms ask for \(expected)")
    }
    var reader = BitReader(payload, from: blocks)
    var all: [(block: Int, moves: [Move])] = []
    for (block, count) in counts.enumerated() where count > 0 {
      let unit = Double(sign: .plus, exponent: scaleExponents[block] + 16, significand: 1)
      // Three products and a quotient of binary64, in this order everywhere.
      let scale = settings.rate * norms[block].value / Double(count) * unit
      let bound =
        settings.rate * (settings.clip / Double(layout.ranges[block].count).squareRoot()) * unit
      var moves: [Move] = []
      moves.reserveCapacity(count)
      for direction in directions(count, block: block, for: task) {
        guard let ratio = settings.code.ratio(reader.next(bits)) else {
          throw refused("a coordinate that no projection rounds to")
        }
        let exact = min(max(ratio * scale, -bound), bound)
        moves.append(
          Move(direction: direction, amount: Int64(exact.rounded(.toNearestOrEven)))
        )
      }
      all.append((block, moves))
    }
    guard reader.restIsZero else { throw refused("bits past the last coordinate") }
    return all
  }

  /// The terms of a round: weighted moves summed by direction, then rounded once, half up.
  func updates(
    _ moves: [FerretHistory.Place: [Move]]
  ) -> [FerretHistory.Entry] {
    moves.sorted { $0.key < $1.key }.compactMap { place, moves in
      var terms: [DirectionUpdate.Term] = []
      var sum: Int64 = 0
      let sorted = moves.sorted { $0.direction < $1.direction }
      for (index, move) in sorted.enumerated() {
        sum += move.amount
        let isLast = index + 1 == sorted.count || sorted[index + 1].direction != move.direction
        guard isLast else { continue }
        let amount = Int32((sum + 1 << 31) >> 32)
        if amount != 0 { terms.append(.init(direction: move.direction, amount: amount)) }
        sum = 0
      }
      return terms.isEmpty ? nil : FerretHistory.Entry(place: place, terms: terms)
    }
  }

  /// What an entry does to the weights.
  func update(_ entry: FerretHistory.Entry) -> DirectionUpdate {
    DirectionUpdate(
      bank: bank(entry.place.block, round: entry.place.round),
      scaleExponent: scaleExponents[entry.place.block],
      elements: layout.ranges[entry.place.block],
      terms: entry.terms
    )
  }

  /// Directions of a block lie below this.
  func directionLimit(_ block: Int) -> UInt64 {
    settings.isHadamard ? UInt64(rows(block)) : 1 << 32
  }
}
