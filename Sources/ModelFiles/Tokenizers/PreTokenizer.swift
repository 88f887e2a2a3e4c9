// Apache-2.0.
import Codecs

/// How a text is cut into words, stage by stage.
struct PreTokenizer: Sendable {
  private enum Stage: Sendable {
    case pattern(SplitPattern)
    /// Numerals cut off, each alone or in runs.
    case digits(alone: Bool)
    /// A blank before every part that has none.
    case blankBefore
    case bert
    case metaspace(mark: [UInt8], prepends: Prepending, cuts: Bool)
  }

  private enum Prepending: Sendable { case always, first, never }

  private var stages: [Stage] = []
  /// Whether the words are then spelled in the byte alphabet.
  private(set) var isByteLevel = false

  /// Reads `pre_tokenizer`, which may be null.
  ///
  /// - Throws: `JSONError` naming a kind that is not supported.
  init(_ field: JSONField) throws(JSONError) { try read(field) }

  private mutating func read(_ field: JSONField) throws(JSONError) {
    guard field.isPresent else { return }
    guard !isByteLevel else { throw field.unexpected("nothing behind a ByteLevel stage") }
    switch try field["type"].string() {
    case "Sequence":
      for item in try field["pretokenizers"].items() { try read(item) }
    case "ByteLevel":
      if try field["add_prefix_space"].bool(default: true) { stages.append(.blankBefore) }
      if try field["use_regex"].bool(default: true) { stages.append(.pattern(.words)) }
      isByteLevel = true
    case "Split":
      let expression = try field["pattern"]["Regex"].string()
      guard let pattern = SplitPattern(expression) else {
        throw field["pattern"].unexpected("the pattern of GPT-2, Llama 3 or Qwen2")
      }
      let behavior = try field["behavior"].string()
      let isInverted = try field["invert"].bool(default: false)
      guard behavior == "Isolated" || behavior == "Removed" && isInverted else {
        throw field["behavior"].unexpected("Isolated, or Removed and inverted")
      }
      stages.append(.pattern(pattern))
    case "Digits":
      stages.append(.digits(alone: try field["individual_digits"].bool(default: false)))
    case "BertPreTokenizer": stages.append(.bert)
    case "Metaspace": stages.append(try Self.metaspace(field))
    case let other:
      throw field["type"].unexpected(
        "Sequence, ByteLevel, Split, Digits, BertPreTokenizer or Metaspace, not \(other)"
      )
    }
  }

  private static func metaspace(_ field: JSONField) throws(JSONError) -> Stage {
    let mark = try mark(field["replacement"])
    let prepends: Prepending
    if field["prepend_scheme"].isPresent {
      switch try field["prepend_scheme"].string() {
      case "always": prepends = .always
      case "first": prepends = .first
      case "never": prepends = .never
      default: throw field["prepend_scheme"].unexpected("always, first or never")
      }
    } else {
      prepends = try field["add_prefix_space"].bool(default: true) ? .always : .never
    }
    return .metaspace(mark: mark, prepends: prepends, cuts: try field["split"].bool(default: true))
  }

  /// The one character that stands for a blank.
  static func mark(_ field: JSONField) throws(JSONError) -> [UInt8] {
    let text = try field.string()
    guard text.unicodeScalars.count == 1 else { throw field.unexpected("one character") }
    return Array(text.utf8)
  }

  /// Cuts the pieces further, stage by stage.
  func apply(_ pieces: inout Pieces) {
    for stage in stages {
      switch stage {
      case .pattern(let pattern): pieces.cut { pattern.cut($0, $1, into: &$2) }
      case .digits(let alone): pieces.cut { Self.digits($0, $1, alone, &$2) }
      case .blankBefore:
        guard pieces.ranges.contains(where: { pieces.bytes[$0.lowerBound] != 0x20 }) else { break }
        pieces.rewrite { _, part, text in
          if part.first != 0x20 { text.append(0x20) }
          text += part
        }
      case .bert: pieces.cut(Self.bert)
      case .metaspace(let mark, let prepends, let cuts):
        let isFirst = pieces.isFirst
        pieces.rewrite { position, part, text in
          let marked = UTF8Text.replace([0x20], by: mark, in: Array(part))
          let wants = prepends == .always || prepends == .first && isFirst && position == 0
          if wants, !marked.starts(with: mark) { text += mark }
          text += marked
        }
        if cuts { pieces.cut { Self.marks($0, $1, mark, &$2) } }
      }
    }
  }

  private static func digits(
    _ text: [UInt8],
    _ range: Range<Int>,
    _ alone: Bool,
    _ parts: inout [Range<Int>]
  ) {
    let classes = ScalarClass.table
    var start = range.lowerBound
    var position = start
    var inside = false
    while position < range.upperBound {
      let before = position
      let isDigit = classes[UTF8Text.next(text, &position)].contains(.digit)
      if before > start, isDigit != inside || isDigit && alone {
        parts.append(start..<before)
        start = before
      }
      inside = isDigit
    }
    if start < range.upperBound { parts.append(start..<range.upperBound) }
  }

  /// Blanks left out, punctuation alone.
  private static func bert(_ text: [UInt8], _ range: Range<Int>, _ parts: inout [Range<Int>]) {
    let classes = ScalarClass.table
    var start = range.lowerBound
    var position = start
    while position < range.upperBound {
      let before = position
      let flags = classes[UTF8Text.next(text, &position)]
      guard !flags.isDisjoint(with: [.space, .punctuation]) else { continue }
      if before > start { parts.append(start..<before) }
      if !flags.contains(.space) { parts.append(before..<position) }
      start = position
    }
    if start < range.upperBound { parts.append(start..<range.upperBound) }
  }

  /// Cuts before every mark.
  private static func marks(
    _ text: [UInt8],
    _ range: Range<Int>,
    _ mark: [UInt8],
    _ parts: inout [Range<Int>]
  ) {
    var start = range.lowerBound
    while let found = UTF8Text.find(mark, in: text, from: start + 1), found < range.upperBound {
      parts.append(start..<found)
      start = found
    }
    parts.append(start..<range.upperBound)
  }
}
