// Apache-2.0.
import Codecs

/// Byte-pair encoding: a word's characters, merged by rank.
struct BytePairModel: Sendable {
  let vocabulary: Vocabulary
  private let merges: PairTable
  private let unknown: Int32?
  private let fusesUnknown: Bool
  /// The tokens <0x00> to <0xFF> where bytes stand in for unknown characters.
  private let fallback: [Int32?]
  private let ignoresMerges: Bool
  /// Words come as raw bytes and are spelled in the byte alphabet.
  private let isByteLevel: Bool
  /// No merge joins something to a mark of blank behind it: a text may be cut before each.
  private let cutsAtBlanks: Bool

  /// The mark of a blank, U+2581.
  static let blank = Array("\u{2581}".utf8)

  /// Reads `model`.
  ///
  /// - Throws: `JSONError` naming the field that is wrong or the feature that is not supported.
  init(_ document: TokenizerDocument, isByteLevel: Bool) throws(JSONError) {
    let field = document.root["model"]
    self.isByteLevel = isByteLevel
    for name in ["continuing_subword_prefix", "end_of_word_suffix"] where field[name].isPresent {
      guard try field[name].string().isEmpty else { throw field[name].unexpected("none") }
    }
    if field["dropout"].isPresent, try field["dropout"].number() != 0 {
      throw field["dropout"].unexpected("none: ids must not be drawn by chance")
    }
    vocabulary = document.vocabulary
    fusesUnknown = try field["fuse_unk"].bool(default: false)
    ignoresMerges = try field["ignore_merges"].bool(default: false)
    if field["unk_token"].isPresent {
      guard let id = vocabulary.id(of: Array(try field["unk_token"].string().utf8)) else {
        throw field["unk_token"].unexpected("a token of the vocabulary")
      }
      unknown = id
    } else {
      unknown = nil
    }
    if try field["byte_fallback"].bool(default: false) {
      let digits = Array("0123456789ABCDEF".utf8)
      fallback = (0..<256).map { [vocabulary] byte in
        vocabulary.id(of: Array("<0x".utf8) + [digits[byte >> 4], digits[byte & 15], 0x3E])
      }
    } else {
      fallback = []
    }
    var cutsAtBlanks = vocabulary.id(of: Self.blank) != nil
    guard let pairs = document.merges else { throw field["merges"].unexpected("an array") }
    merges = try Self.table(pairs, vocabulary) { left, right in
      if right.starts(with: Self.blank), !left.suffix(3).elementsEqual(Self.blank) {
        cutsAtBlanks = false
      }
    }
    self.cutsAtBlanks = cutsAtBlanks && !isByteLevel
  }

  private static func table(
    _ pairs: ByteStrings,
    _ vocabulary: Vocabulary,
    each: (ArraySlice<UInt8>, ArraySlice<UInt8>) -> Void
  ) throws(JSONError) -> PairTable {
    var table = PairTable(count: pairs.count / 2)
    for rank in 0..<pairs.count / 2 {
      let (left, right) = (pairs.range(2 * rank), pairs.range(2 * rank + 1))
      // Both halves stand side by side, so that their joint does as well.
      guard let first = vocabulary.id(of: pairs.bytes, left),
        let second = vocabulary.id(of: pairs.bytes, right),
        let result = vocabulary.id(of: pairs.bytes, left.lowerBound..<right.upperBound)
      else {
        throw .unexpected(
          path: "model.merges[\(rank)]",
          wanted: "tokens of the vocabulary, and their joint too"
        )
      }
      each(pairs.bytes[left], pairs.bytes[right])
      guard table.insert(first, second, rank: rank, result: result) else {
        throw .unexpected(path: "model.merges", wanted: "pairs that do not all collide")
      }
    }
    return table
  }

  /// Appends the tokens of words.
  func encode(_ words: Pieces, _ scratch: TokenizerScratch, into result: inout [Int32]) {
    for range in words.ranges { encode(words.bytes, range, scratch, into: &result) }
  }

  /// Appends the tokens of one word, or of a whole text where nothing cuts it into words.
  private func encode(
    _ text: [UInt8],
    _ range: Range<Int>,
    _ scratch: TokenizerScratch,
    into result: inout [Int32]
  ) {
    guard cutsAtBlanks, range.count > 3 else {
      return encodeWord(text, range, scratch, into: &result)
    }
    var start = range.lowerBound
    var position = start + 1
    while position + 3 <= range.upperBound {
      if text[position] == Self.blank[0], text[position + 1] == Self.blank[1],
        text[position + 2] == Self.blank[2],
        !(position - start >= 3 && text[position - 1] == Self.blank[2]
          && text[position - 2] == Self.blank[1] && text[position - 3] == Self.blank[0])
      {
        encodeWord(text, start..<position, scratch, into: &result)
        start = position
        position += 3
      } else {
        position += 1
      }
    }
    encodeWord(text, start..<range.upperBound, scratch, into: &result)
  }

  private func encodeWord(
    _ text: [UInt8],
    _ range: Range<Int>,
    _ scratch: TokenizerScratch,
    into result: inout [Int32]
  ) {
    let isCached = range.count <= WordCache.longestWord
    let hash = isCached ? Vocabulary.hash(text, range) : 0
    if isCached, scratch.cache.append(range, of: text, hash: hash, to: &result) { return }
    if isByteLevel {
      ByteAlphabet.spell(text[range], into: &scratch.spelled)
      merge(scratch.spelled, 0..<scratch.spelled.count, &scratch.merger)
    } else {
      merge(text, range, &scratch.merger)
    }
    result += scratch.merger.symbols
    if isCached { scratch.cache.insert(range, of: text, hash: hash, scratch.merger.symbols[...]) }
  }

  private func merge(_ word: [UInt8], _ range: Range<Int>, _ merger: inout PairMerger) {
    merger.symbols.removeAll(keepingCapacity: true)
    if ignoresMerges, let id = vocabulary.id(of: word, range) {
      merger.symbols.append(id)
      return
    }
    // Unknown characters wait, so that several may become one token; a character whose bytes stand
    // in for it does not end the wait.
    var waiting = 0
    var position = range.lowerBound
    while position < range.upperBound {
      let start = position
      _ = UTF8Text.next(word, &position)
      if let id = vocabulary.id(of: word, start..<position) {
        flush(&waiting, &merger.symbols)
        merger.symbols.append(id)
      } else if !appendBytes(word[start..<position], &merger.symbols), unknown != nil {
        if waiting > 0, !fusesUnknown { flush(&waiting, &merger.symbols) }
        waiting += 1
      }
    }
    flush(&waiting, &merger.symbols)
    merger.merge(merges)
  }

  private func flush(_ waiting: inout Int, _ symbols: inout [Int32]) {
    if waiting > 0, let unknown { symbols.append(unknown) }
    waiting = 0
  }

  private func appendBytes(_ bytes: ArraySlice<UInt8>, _ symbols: inout [Int32]) -> Bool {
    guard !fallback.isEmpty, bytes.allSatisfy({ fallback[Int($0)] != nil }) else { return false }
    for byte in bytes { if let id = fallback[Int(byte)] { symbols.append(id) } }
    return true
  }
}
