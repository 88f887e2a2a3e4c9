// Apache-2.0.

/// The regular expressions that byte-level tokenizers cut text with, each matched by hand.
///
/// Their alternatives cover every character, so that the matches are all there is.
enum SplitPattern: Sendable, Equatable {
  /// GPT-2.
  case words
  /// GPT-4, Llama 3 (three digits), Qwen2 (one): contractions in any case, one mark before a word.
  case marksBeforeWords(maximumDigits: Int)

  /// The pattern that a file spells so; nil for one that is not known.
  init?(_ expression: String) {
    let tail = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    let head = #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"#
    switch expression {
    case #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#:
      self = .words
    case head + #"\p{N}{1,3}"# + tail: self = .marksBeforeWords(maximumDigits: 3)
    case head + #"\p{N}"# + tail: self = .marksBeforeWords(maximumDigits: 1)
    default: return nil
    }
  }

  /// Appends the matches in a part of a text.
  func cut(_ text: [UInt8], _ range: Range<Int>, into matches: inout [Range<Int>]) {
    var scanner = SplitScanner(text: text, end: range.upperBound, position: range.lowerBound)
    while scanner.position < range.upperBound {
      let start = scanner.position
      switch self {
      case .words: scanner.matchWords()
      case .marksBeforeWords(let digits): scanner.matchMarksBeforeWords(maximumDigits: digits)
      }
      matches.append(start..<scanner.position)
    }
  }
}

/// Matches one alternative after another at a position.
private struct SplitScanner {
  let text: [UInt8]
  let end: Int
  var position: Int
  private let classes = ScalarClass.table

  private static let apostrophe = UInt8(ascii: "'")

  init(text: [UInt8], end: Int, position: Int) {
    self.text = text
    self.end = end
    self.position = position
  }

  /// What a character is to the patterns: letter, number, space or none of them.
  @inline(__always)
  private func kind(_ scalar: UInt32) -> ScalarClass {
    classes[scalar].intersection([.letter, .number, .space])
  }

  /// The kind of the character at a place, and where the next one is; nil at the end.
  @inline(__always)
  private func look(_ place: Int) -> (kind: ScalarClass, next: Int)? {
    guard place < end else { return nil }
    var next = place
    let scalar = UTF8Text.next(text, &next)
    return (kind(scalar), next)
  }

  /// Moves behind the characters of a kind.
  @inline(__always)
  private mutating func skip(_ wanted: ScalarClass, atMost limit: Int = .max) {
    var count = 0
    while count < limit, let (kind, next) = look(position), kind == wanted {
      position = next
      count += 1
    }
  }

  /// One match of the pattern of GPT-2.
  mutating func matchWords() {
    if contraction(anyCase: false) { return }
    let start = position
    if text[position] == 0x20 { position += 1 }
    if let (kind, _) = look(position), kind != .space {
      skip(kind)
      return
    }
    position = start
    blanks(cutAtBreaks: false)
  }

  /// One match of the pattern of GPT-4.
  mutating func matchMarksBeforeWords(maximumDigits: Int) {
    if contraction(anyCase: true) { return }
    guard let (kind, next) = look(position) else { return }
    if kind == .letter { return skip(.letter) }
    if kind == .number { return skip(.number, atMost: maximumDigits) }
    let byte = text[position]
    if byte != 0x0A, byte != 0x0D, let (second, _) = look(next), second == .letter {
      position = next
      return skip(.letter)
    }
    let start = position
    if byte == 0x20 { position = next }
    if let (kind, _) = look(position), kind == [] {
      skip([])
      while position < end, text[position] == 0x0A || text[position] == 0x0D { position += 1 }
      return
    }
    position = start
    blanks(cutAtBreaks: true)
  }

  /// Blanks: `\s*[\r\n]+` where asked, else `\s+(?!\S)|\s+`: the last blank is left to what follows.
  private mutating func blanks(cutAtBreaks: Bool) {
    let start = position
    var last = position
    var afterBreak: Int?
    while let (kind, next) = look(position), kind == .space {
      last = position
      if text[position] == 0x0A || text[position] == 0x0D { afterBreak = next }
      position = next
    }
    if cutAtBreaks, let afterBreak {
      position = afterBreak
    } else if position < end, last > start {
      position = last
    }
  }

  /// The contractions of English, the first alternative of both patterns.
  private mutating func contraction(anyCase: Bool) -> Bool {
    guard text[position] == Self.apostrophe, position + 1 < end else { return false }
    let fold: UInt8 = anyCase ? 0x20 : 0
    let first = text[position + 1] | fold
    switch first {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      position += 2
      return true
    case UInt8(ascii: "r"), UInt8(ascii: "v"), UInt8(ascii: "l"):
      let wanted = first == UInt8(ascii: "l") ? UInt8(ascii: "l") : UInt8(ascii: "e")
      guard position + 2 < end, text[position + 2] | fold == wanted else { return false }
      position += 3
      return true
    case 0xC5 | fold:
      // The long s is an s in another case.
      guard anyCase, position + 2 < end, text[position + 1] == 0xC5, text[position + 2] == 0xBF
      else { return false }
      position += 3
      return true
    default: return false
    }
  }
}
