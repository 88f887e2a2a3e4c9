// Apache-2.0.
import Codecs
import FederatedCore

/// The integers of a Ferret version: the terms of every aggregation.
struct FerretHistory: Sendable, Equatable {
  /// Which directions terms belong to.
  struct Place: Sendable, Hashable, Comparable {
    /// Version the tasks started from.
    let round: UInt32
    let block: Int

    static func < (left: Place, right: Place) -> Bool {
      (left.round, left.block) < (right.round, right.block)
    }
  }

  /// The terms of one block, ascending.
  struct Entry: Sendable, Equatable {
    let place: Place
    let terms: [DirectionUpdate.Term]
  }

  /// Entries of each aggregation in ascending order of their places.
  private(set) var rounds: [[Entry]] = []
  /// Bytes of the payloads the last one was made of; 0 where it came as terms.
  private(set) var lastPayloadBytes = 0

  /// Aggregations folded.
  var version: Int { rounds.count }

  /// A sum of magnitudes stays below 2^31.
  private static let bound: UInt64 = (1 << 31) - 1

  init() {}

  mutating func append(_ entries: [Entry], payloadBytes: Int) {
    rounds.append(entries)
    lastPayloadBytes = payloadBytes
  }

  /// The last aggregation as bytes.
  var lastRound: [UInt8]? {
    guard let last = rounds.last else { return nil }
    var writer = ByteWriter()
    Self.encode(last, into: &writer)
    return writer.bytes
  }

  var encoded: [UInt8] {
    var writer = ByteWriter()
    writer.write(count: rounds.count)
    for round in rounds { Self.encode(round, into: &writer) }
    return writer.bytes
  }

  /// Takes in an aggregation from its bytes.
  mutating func append(encoded bytes: [UInt8], _ plan: FerretPlan) throws(AlgorithmError) {
    do throws(CodecError) {
      var reader = ByteReader(bytes)
      let round = try Self.round(&reader, version: version, plan)
      try reader.finish()
      append(round, payloadBytes: 0)
    } catch {
      throw .snapshot("\(error)")
    }
  }

  init(_ snapshot: [UInt8], _ plan: FerretPlan) throws(AlgorithmError) {
    do throws(CodecError) {
      var reader = ByteReader(snapshot)
      let count = try reader.readCount(limit: 1 << 24 - 1, field: "rounds")
      for version in 0..<count { rounds.append(try Self.round(&reader, version: version, plan)) }
      try reader.finish()
    } catch {
      throw .snapshot("\(error)")
    }
  }

  /// Directions as differences, amounts zigzag: two to four bytes a term.
  private static func encode(_ round: [Entry], into writer: inout ByteWriter) {
    writer.write(count: round.count)
    for entry in round {
      writer.writeVarint(UInt64(entry.place.round))
      writer.write(count: entry.place.block)
      writer.write(count: entry.terms.count)
      var next: UInt64 = 0
      for term in entry.terms {
        writer.writeVarint(UInt64(term.direction) - next)
        writer.writeVarint(SeedState.zigzag(term.amount))
        next = UInt64(term.direction) + 1
      }
    }
  }

  private static func round(
    _ reader: inout ByteReader,
    version: Int,
    _ plan: FerretPlan
  ) throws(CodecError) -> [Entry] {
    var entries: [Entry] = []
    for _ in 0..<(try reader.readCount(limit: 1 << 24, field: "entries")) {
      let place = Place(
        round: UInt32(try reader.readCount(limit: version, field: "round")),
        block: try reader.readCount(limit: plan.layout.ranges.count - 1, field: "block")
      )
      if let last = entries.last, !(last.place < place) {
        throw .malformed(field: "entries", reason: "places ascend")
      }
      let count = try reader.readCount(limit: 1 << 28, field: "terms")
      var terms: [DirectionUpdate.Term] = []
      var next: UInt64 = 0
      var sum: UInt64 = 0
      for _ in 0..<count {
        let direction = next &+ (try reader.readVarint())
        let amount = try SeedState.amount(try reader.readVarint())
        sum += UInt64(amount.magnitude)
        guard direction >= next, direction < plan.directionLimit(place.block), amount != 0,
          sum <= bound
        else { throw .malformed(field: "terms", reason: "a direction or amount out of bounds") }
        terms.append(.init(direction: UInt32(direction), amount: amount))
        next = direction + 1
      }
      guard !terms.isEmpty else { throw .malformed(field: "terms", reason: "none") }
      entries.append(Entry(place: place, terms: terms))
    }
    return entries
  }
}
