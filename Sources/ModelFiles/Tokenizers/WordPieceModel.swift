// Apache-2.0.
import Codecs

/// WordPiece: the longest token that begins a word, then the longest that continues it, and so on.
struct WordPieceModel: Sendable {
  let vocabulary: Vocabulary
  private let unknown: Int32
  private let prefix: [UInt8]
  private let maximumCharacters: Int

  /// Reads `model`.
  init(_ document: TokenizerDocument) throws(JSONError) {
    let field = document.root["model"]
    vocabulary = document.vocabulary
    guard let id = vocabulary.id(of: Array(try field["unk_token"].string().utf8)) else {
      throw field["unk_token"].unexpected("a token of the vocabulary")
    }
    unknown = id
    prefix = Array(try field["continuing_subword_prefix"].string(default: "##").utf8)
    maximumCharacters =
      field["max_input_chars_per_word"].isPresent
      ? try field["max_input_chars_per_word"].integer(in: 0...1000) : 100
  }

  /// Appends the tokens of words.
  func encode(_ words: Pieces, _ scratch: TokenizerScratch, into result: inout [Int32]) {
    for range in words.ranges { encode(words.bytes, range, scratch, into: &result) }
  }

  /// Appends the tokens of one word; one token where a part of it is unknown.
  private func encode(
    _ text: [UInt8],
    _ range: Range<Int>,
    _ scratch: TokenizerScratch,
    into result: inout [Int32]
  ) {
    guard range.count <= WordCache.longestWord else {
      return encodeWord(text, range, into: &result)
    }
    let hash = Vocabulary.hash(text, range)
    if scratch.cache.append(range, of: text, hash: hash, to: &result) { return }
    let before = result.count
    encodeWord(text, range, into: &result)
    scratch.cache.insert(range, of: text, hash: hash, result[before...])
  }

  private func encodeWord(_ text: [UInt8], _ range: Range<Int>, into result: inout [Int32]) {
    let characters = text[range].count { $0 & 0xC0 != 0x80 }
    guard characters <= maximumCharacters else { return result.append(unknown) }
    let before = result.count
    var start = range.lowerBound
    while start < range.upperBound {
      let lead = start == range.lowerBound ? [] : prefix
      var end = min(range.upperBound, start + max(0, vocabulary.longest - lead.count))
      // A token ends where a character does.
      while end > start, end < range.upperBound, text[end] & 0xC0 == 0x80 { end -= 1 }
      var found: Int32?
      while end > start {
        found = vocabulary.id(of: text, start..<end, behind: lead)
        if found != nil { break }
        end -= 1
        while end > start, text[end] & 0xC0 == 0x80 { end -= 1 }
      }
      guard let found else {
        result.removeSubrange(before...)
        return result.append(unknown)
      }
      result.append(found)
      start = end
    }
  }
}
