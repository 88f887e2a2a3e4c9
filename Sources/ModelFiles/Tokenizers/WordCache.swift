// Apache-2.0.

/// What one call of `encode` works in; calls hand it on, so that words stay known.
final class TokenizerScratch: @unchecked Sendable {
  // SAFETY: a tokenizer lends it to one call at a time.
  var merger = PairMerger()
  var cache = WordCache()
  var spelled: [UInt8] = []
}

/// The tokens of words seen before, a bounded number of them.
struct WordCache {
  private struct Slot {
    var hash: UInt64 = 0
    var start: UInt32 = 0
    var length: UInt32 = 0
    var firstID: UInt32 = 0
    var idCount: UInt32 = 0
  }

  private var slots = [Slot](repeating: Slot(), count: slotCount)
  private var bytes: [UInt8] = []
  private var ids: [Int32] = []

  private static let slotCount = 1 << 14
  /// Bytes of words after which it starts anew.
  private static let capacity = 1 << 20
  /// Longer words do not come again.
  static let longestWord = 64

  /// Appends the tokens of a word that is known; false where it is not.
  func append(_ word: Range<Int>, of text: [UInt8], hash: UInt64, to result: inout [Int32]) -> Bool
  {
    let slot = slots[Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)]
    guard slot.hash == hash, Int(slot.length) == word.count else { return false }
    let start = Int(slot.start)
    for offset in 0..<word.count
    where bytes[start + offset] != text[word.lowerBound + offset] { return false }
    result += ids[Int(slot.firstID)..<Int(slot.firstID + slot.idCount)]
    return true
  }

  /// Keeps the tokens of a word.
  mutating func insert(
    _ word: Range<Int>,
    of text: [UInt8],
    hash: UInt64,
    _ tokens: ArraySlice<Int32>
  ) {
    if bytes.count + word.count > Self.capacity {
      slots = [Slot](repeating: Slot(), count: Self.slotCount)
      bytes.removeAll(keepingCapacity: true)
      ids.removeAll(keepingCapacity: true)
    }
    slots[Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)] = Slot(
      hash: hash,
      start: UInt32(bytes.count),
      length: UInt32(word.count),
      firstID: UInt32(ids.count),
      idCount: UInt32(tokens.count)
    )
    bytes += text[word]
    ids += tokens
  }
}
