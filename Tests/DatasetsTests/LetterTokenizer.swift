// Apache-2.0.
import ModelFiles

/// A tokenizer of letters: a byte is a token, special tokens are spelled in the text.
struct LetterTokenizer: Tokenizer {
  let specials: [String]
  /// What is put around a text, as positions of `specials`.
  let prefix: [Int]
  let suffix: [Int]

  init(specials: [String] = [], prefix: [Int] = [], suffix: [Int] = []) {
    self.specials = specials
    self.prefix = prefix
    self.suffix = suffix
  }

  var vocabularyCount: Int { 256 + specials.count }
  var specialTokens: [Int32] { specials.indices.map { Int32(256 + $0) } }

  func id(of token: String) -> Int32? {
    specials.firstIndex(of: token).map { Int32(256 + $0) }
  }

  func token(of id: Int32) -> String? { decode([id], skipSpecialTokens: false) }

  func encode(_ text: String, addSpecialTokens: Bool) -> [Int32] {
    var ids: [Int32] = []
    var rest = Substring(text)
    while let first = rest.unicodeScalars.first {
      if let special = specials.firstIndex(where: { rest.hasPrefix($0) }) {
        ids.append(Int32(256 + special))
        rest = rest.dropFirst(specials[special].count)
      } else {
        ids += String(first).utf8.map { Int32($0) }
        rest.unicodeScalars.removeFirst()
      }
    }
    guard addSpecialTokens else { return ids }
    return prefix.map { Int32(256 + $0) } + ids + suffix.map { Int32(256 + $0) }
  }

  func decode(_ ids: [Int32], skipSpecialTokens: Bool) -> String {
    ids.map { id in
      if id < 256 { return String(decoding: [UInt8(id)], as: UTF8.self) }
      return skipSpecialTokens ? "" : specials[Int(id) - 256]
    }.joined()
  }
}
