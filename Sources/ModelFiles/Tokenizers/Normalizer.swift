// Apache-2.0.
import Codecs

/// What is done to a text before it is cut into words.
indirect enum Normalizer: Sendable {
  case sequence([Normalizer])
  case composed
  case decomposed
  case lowercase
  /// Text put before a text that is not empty.
  case prepend([UInt8])
  /// Every occurrence replaced.
  case replace([UInt8], by: [UInt8])
  case bert(cleans: Bool, spacesIdeographs: Bool, stripsAccents: Bool, lowers: Bool)

  /// Reads `normalizer`; nil where it is null.
  ///
  /// - Throws: `JSONError` naming a kind that is not supported.
  static func read(_ field: JSONField) throws(JSONError) -> Normalizer? {
    guard let made = try readPart(field) else { return nil }
    // A chain of replacements could make a short text fill the memory.
    guard made.growth <= maximumGrowth else {
      throw field.unexpected("replacements that lengthen a text at most \(maximumGrowth) times")
    }
    return made
  }

  /// How many times as long a text may become by replacements.
  static let maximumGrowth = 64

  /// An upper bound of how many times as long replacements make a text.
  private var growth: Int {
    switch self {
    case .sequence(let parts): parts.reduce(1) { min(Self.maximumGrowth + 1, $0 * $1.growth) }
    case .replace(let pattern, let content):
      min(Self.maximumGrowth + 1, max(1, (content.count + pattern.count - 1) / pattern.count))
    case .prepend(let prefix): prefix.count <= 64 ? 1 : Self.maximumGrowth + 1
    case .composed, .decomposed, .lowercase, .bert: 1
    }
  }

  private static func readPart(_ field: JSONField) throws(JSONError) -> Normalizer? {
    guard field.isPresent else { return nil }
    switch try field["type"].string() {
    case "Sequence":
      var parts: [Normalizer] = []
      for item in try field["normalizers"].items() {
        if let part = try readPart(item) { parts.append(part) }
      }
      return .sequence(parts)
    case "NFC": return .composed
    case "NFD": return .decomposed
    case "Lowercase": return .lowercase
    case "Prepend": return .prepend(Array(try field["prepend"].string().utf8))
    case "Replace":
      let pattern = Array(try field["pattern"]["String"].string().utf8)
      guard !pattern.isEmpty else { throw field["pattern"].unexpected("text to replace") }
      return .replace(pattern, by: Array(try field["content"].string().utf8))
    case "BertNormalizer":
      let lowers = try field["lowercase"].bool(default: true)
      return .bert(
        cleans: try field["clean_text"].bool(default: true),
        spacesIdeographs: try field["handle_chinese_chars"].bool(default: true),
        stripsAccents: try field["strip_accents"].bool(default: lowers),
        lowers: lowers
      )
    case let other:
      throw field["type"].unexpected(
        "Sequence, NFC, NFD, Lowercase, Prepend, Replace or BertNormalizer, not \(other)"
      )
    }
  }

  /// The normalised form of a text.
  func apply(_ text: [UInt8]) -> [UInt8] {
    switch self {
    case .sequence(let parts): parts.reduce(text) { $1.apply($0) }
    case .composed: Self.onScalars(text, CanonicalForm.composed)
    case .decomposed: Self.onScalars(text, CanonicalForm.decomposed)
    case .lowercase: UTF8Text.bytes(LowerCase.of(UTF8Text.scalars(text)))
    case .prepend(let prefix): text.isEmpty ? text : prefix + text
    case .replace(let pattern, let content): UTF8Text.replace(pattern, by: content, in: text)
    case .bert(let cleans, let spacesIdeographs, let stripsAccents, let lowers):
      Self.bert(text, cleans, spacesIdeographs, stripsAccents, lowers)
    }
  }

  /// Applies a normal form, which leaves ASCII as it is.
  private static func onScalars(_ text: [UInt8], _ body: ([UInt32]) -> [UInt32]) -> [UInt8] {
    text.allSatisfy { $0 < 0x80 } ? text : UTF8Text.bytes(body(UTF8Text.scalars(text)))
  }

  private static func bert(
    _ text: [UInt8],
    _ cleans: Bool,
    _ spacesIdeographs: Bool,
    _ stripsAccents: Bool,
    _ lowers: Bool
  ) -> [UInt8] {
    let classes = ScalarClass.table
    var scalars: [UInt32] = []
    scalars.reserveCapacity(text.count)
    var position = 0
    while position < text.count {
      let scalar = UTF8Text.next(text, &position)
      let flags = classes[scalar]
      if cleans, flags.contains(.dropped) { continue }
      if spacesIdeographs, flags.contains(.ideograph) {
        scalars += [0x20, scalar, 0x20]
      } else {
        scalars.append(cleans && flags.contains(.space) ? 0x20 : scalar)
      }
    }
    if stripsAccents, scalars.contains(where: { $0 >= 0x80 }) {
      scalars = CanonicalForm.decomposed(scalars)
      scalars.removeAll { classes[$0].contains(.mark) }
    }
    return UTF8Text.bytes(lowers ? LowerCase.of(scalars) : scalars)
  }
}
