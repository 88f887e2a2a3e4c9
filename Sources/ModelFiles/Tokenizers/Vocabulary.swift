// Apache-2.0.
import Codecs

/// Tokens and their ids, looked up by bytes: `String` would take canonically equal texts for one.
struct Vocabulary: Sendable {
  /// One more than the largest id.
  let count: Int
  /// Tokens held.
  let entryCount: Int
  private let blob: [UInt8]
  /// Where each id's bytes begin and end; empty where an id has no token.
  private let starts: [UInt32]
  private let ends: [UInt32]
  /// Ids by hash, -1 where free.
  private let slots: [Int32]
  private let mask: Int

  /// Longest token, so that a text can be refused a look-up.
  let longest: Int

  /// How far an id may lie beyond the number of tokens: the tables are as long as the largest id.
  static let slack = 65_536
  /// More steps than any honest vocabulary needs to find a token.
  static let maximumProbes = 512

  /// A vocabulary of tokens with their ids; of a token that stands twice the last id counts.
  ///
  /// - Throws: `JSONError` where ids lie far apart, or more tokens collide than by chance.
  init(_ tokens: ByteStrings, ids: [Int32], path: String) throws(JSONError) {
    let limit = ids.count + Self.slack
    let largest = Int(ids.max() ?? -1)
    guard ids.count < Int(Int32.max) / 4, largest < limit else {
      throw .unexpected(path: path, wanted: "ids from 0 to \(limit - 1), not \(largest)")
    }
    var capacity = 16
    while capacity < ids.count * 2 { capacity *= 2 }
    mask = capacity - 1
    count = largest + 1
    blob = tokens.bytes
    var starts = [UInt32](repeating: 0, count: count)
    var ends = [UInt32](repeating: 0, count: count)
    var slots = [Int32](repeating: -1, count: capacity)
    var longest = 0
    var entries = 0
    for (position, id) in ids.enumerated() {
      let range = tokens.range(position)
      var slot = Int(truncatingIfNeeded: Self.hash(blob, range)) & mask
      var probes = 0
      while slots[slot] >= 0 {
        let other = Int(slots[slot])
        if blob[Int(starts[other])..<Int(ends[other])].elementsEqual(blob[range]) { break }
        slot = (slot + 1) & mask
        probes += 1
        guard probes < Self.maximumProbes else {
          throw .unexpected(path: path, wanted: "tokens that do not all collide")
        }
      }
      if slots[slot] < 0 { entries += 1 }
      starts[Int(id)] = UInt32(range.lowerBound)
      ends[Int(id)] = UInt32(range.upperBound)
      slots[slot] = id
      longest = max(longest, range.count)
    }
    entryCount = entries
    self.starts = starts
    self.ends = ends
    self.slots = slots
    self.longest = longest
  }

  /// The id of the token that these bytes spell.
  func id(of bytes: [UInt8], _ range: Range<Int>) -> Int32? { id(of: bytes, range, behind: []) }

  /// The id of the token that a prefix and these bytes behind it spell.
  func id(of bytes: [UInt8], _ range: Range<Int>, behind prefix: [UInt8]) -> Int32? {
    guard range.count + prefix.count <= longest else { return nil }
    let start = Self.mix(Self.basis, prefix, 0..<prefix.count)
    var slot = Int(truncatingIfNeeded: Self.finish(Self.mix(start, bytes, range))) & mask
    while slots[slot] >= 0 {
      let id = slots[slot]
      if spells(Int(id), prefix, bytes, range) { return id }
      slot = (slot + 1) & mask
    }
    return nil
  }

  @inline(__always)
  private func spells(_ id: Int, _ prefix: [UInt8], _ bytes: [UInt8], _ range: Range<Int>) -> Bool {
    var cursor = Int(starts[id])
    guard Int(ends[id]) - cursor == prefix.count + range.count else { return false }
    for byte in prefix {
      if blob[cursor] != byte { return false }
      cursor += 1
    }
    for index in range {
      if blob[cursor] != bytes[index] { return false }
      cursor += 1
    }
    return true
  }

  func id(of bytes: [UInt8]) -> Int32? { id(of: bytes, 0..<bytes.count) }

  /// The bytes of a token; nil where the id has none.
  func bytes(of id: Int32) -> ArraySlice<UInt8>? {
    guard id >= 0, Int(id) < count, starts[Int(id)] < ends[Int(id)] else { return nil }
    return blob[Int(starts[Int(id)])..<Int(ends[Int(id)])]
  }

  /// FNV-1a with a last mixing, so that the low bits depend on every byte.
  @inline(__always)
  static func hash(_ bytes: [UInt8], _ range: Range<Int>) -> UInt64 {
    finish(mix(basis, bytes, range))
  }

  private static let basis: UInt64 = 0xCBF2_9CE4_8422_2325

  @inline(__always)
  private static func mix(_ state: UInt64, _ bytes: [UInt8], _ range: Range<Int>) -> UInt64 {
    var state = state
    for index in range { state = (state ^ UInt64(bytes[index])) &* 0x100_0000_01B3 }
    return state
  }

  @inline(__always)
  private static func finish(_ state: UInt64) -> UInt64 {
    ((state ^ state >> 32) &* 0x9E37_79B9_7F4A_7C15) >> 20
  }
}
