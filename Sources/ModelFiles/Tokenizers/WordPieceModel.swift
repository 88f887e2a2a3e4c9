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
      ? try field["max_input_chars_per_word"].integer(in: 0...1_000_000) : 100
  }

  /// Appends the tokens of one word; one token where a part of it is unknown.
  func encode(_ text: [UInt8], _ range: Range<Int>, into result: inout [Int32]) {
    let characters = text[range].count { $0 & 0xC0 != 0x80 }
    guard characters <= maximumCharacters else { return result.append(unknown) }
    let before = result.count
    var start = range.lowerBound
    // Continuations are looked up behind their prefix.
    let continued = prefix + text[range]
    let shift = prefix.count - range.lowerBound
    while start < range.upperBound {
      let isFirst = start == range.lowerBound
      var end = min(range.upperBound, start + vocabulary.longest)
      // A token ends where a character does.
      while end < range.upperBound, text[end] & 0xC0 == 0x80 { end -= 1 }
      var found: Int32?
      while end > start {
        found =
          isFirst
          ? vocabulary.id(of: text, start..<end) : lookUp(continued, start + shift, end + shift)
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

  /// The token of the prefix and the bytes from `start` on.
  private func lookUp(_ word: [UInt8], _ start: Int, _ end: Int) -> Int32? {
    if start == prefix.count { return vocabulary.id(of: word, 0..<end) }
    return vocabulary.id(of: prefix + word[start..<end])
  }
}
