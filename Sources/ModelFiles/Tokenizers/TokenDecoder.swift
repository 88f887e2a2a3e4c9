// Apache-2.0.
import Codecs

/// How tokens become text again.
indirect enum TokenDecoder: Sendable {
  case sequence([TokenDecoder])
  case byteLevel
  case wordPiece(prefix: [UInt8], cleans: Bool)
  case metaspace(mark: [UInt8], dropsFirst: Bool)
  case replace([UInt8], by: [UInt8])
  case byteFallback
  case fuse
  case strip(UInt32, start: Int, stop: Int)

  /// Reads `decoder`; nil where it is null.
  ///
  /// - Throws: `JSONError` naming a kind that is not supported.
  static func read(_ field: JSONField) throws(JSONError) -> TokenDecoder? {
    guard let made = try readPart(field) else { return nil }
    guard made.growth <= Normalizer.maximumGrowth else {
      throw field.unexpected(
        "replacements that lengthen a text at most \(Normalizer.maximumGrowth) times"
      )
    }
    return made
  }

  /// An upper bound of how many times as long replacements make a text.
  private var growth: Int {
    let limit = Normalizer.maximumGrowth + 1
    switch self {
    case .sequence(let parts): return parts.reduce(1) { min(limit, $0 * $1.growth) }
    case .replace(let pattern, let content):
      return min(limit, max(1, (content.count + pattern.count - 1) / pattern.count))
    case .byteLevel, .wordPiece, .metaspace, .byteFallback, .fuse, .strip: return 1
    }
  }

  private static func readPart(_ field: JSONField) throws(JSONError) -> TokenDecoder? {
    guard field.isPresent else { return nil }
    switch try field["type"].string() {
    case "Sequence":
      var parts: [TokenDecoder] = []
      for item in try field["decoders"].items() {
        if let part = try readPart(item) { parts.append(part) }
      }
      return .sequence(parts)
    case "ByteLevel": return .byteLevel
    case "WordPiece":
      return .wordPiece(
        prefix: Array(try field["prefix"].string(default: "##").utf8),
        cleans: try field["cleanup"].bool(default: true)
      )
    case "Metaspace":
      let scheme = try field["prepend_scheme"].string(default: "always")
      let prepends = try field["add_prefix_space"].bool(default: true)
      return .metaspace(
        mark: try PreTokenizer.mark(field["replacement"]),
        dropsFirst: scheme != "never" && prepends
      )
    case "Replace":
      let pattern = Array(try field["pattern"]["String"].string().utf8)
      guard !pattern.isEmpty else { throw field["pattern"].unexpected("text to replace") }
      return .replace(pattern, by: Array(try field["content"].string().utf8))
    case "ByteFallback": return .byteFallback
    case "Fuse": return .fuse
    case "Strip":
      let content = Array(try field["content"].string().unicodeScalars)
      guard content.count == 1 else { throw field["content"].unexpected("one character") }
      return .strip(
        content[0].value,
        start: try field["start"].integer(in: 0...1024),
        stop: try field["stop"].integer(in: 0...1024)
      )
    case let other:
      throw field["type"].unexpected(
        "Sequence, ByteLevel, WordPiece, Metaspace, Replace, ByteFallback, Fuse or Strip, "
          + "not \(other)"
      )
    }
  }

  /// The texts of tokens; joined they are the text.
  func apply(_ tokens: [[UInt8]]) -> [[UInt8]] {
    switch self {
    case .sequence(let parts): return parts.reduce(tokens) { $1.apply($0) }
    case .byteLevel:
      let raw = tokens.flatMap { ByteAlphabet.raw($0) ?? $0 }
      return [Array(String(decoding: raw, as: UTF8.self).utf8)]
    case .wordPiece(let prefix, let cleans):
      return tokens.enumerated().map { Self.wordPiece($1, isFirst: $0 == 0, prefix, cleans) }
    case .metaspace(let mark, let dropsFirst):
      return tokens.enumerated().map { position, token in
        UTF8Text.replace(mark, by: position == 0 && dropsFirst ? [] : [0x20], in: token)
      }
    case .replace(let pattern, let content):
      return tokens.map { UTF8Text.replace(pattern, by: content, in: $0) }
    case .byteFallback: return Self.joinBytes(tokens)
    case .fuse: return [Array(tokens.joined())]
    case .strip(let content, let start, let stop):
      return tokens.map { Self.strip($0, content, start, stop) }
    }
  }

  private static func wordPiece(
    _ token: [UInt8],
    isFirst: Bool,
    _ prefix: [UInt8],
    _ cleans: Bool
  ) -> [UInt8] {
    var text = token
    if !isFirst {
      text = text.starts(with: prefix) ? Array(text.dropFirst(prefix.count)) : [0x20] + text
    }
    guard cleans else { return text }
    for (pattern, content) in tidying {
      text = UTF8Text.replace(Array(pattern.utf8), by: Array(content.utf8), in: text)
    }
    return text
  }

  /// What tidying of English puts right, in this order.
  private static let tidying = [
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
    (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
  ]

  /// Runs of <0xNN> as the text of their bytes, or as one replacement character each.
  private static func joinBytes(_ tokens: [[UInt8]]) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var bytes: [UInt8] = []
    func flush() {
      guard !bytes.isEmpty else { return }
      if String(validating: bytes, as: UTF8.self) != nil {
        result.append(bytes)
      } else {
        for _ in bytes { result.append([0xEF, 0xBF, 0xBD]) }
      }
      bytes = []
    }
    for token in tokens {
      if token.count == 6, token.starts(with: Array("<0x".utf8)), token[5] == UInt8(ascii: ">"),
        let byte = UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
      {
        bytes.append(byte)
      } else {
        flush()
        result.append(token)
      }
    }
    flush()
    return result
  }

  private static func strip(
    _ token: [UInt8],
    _ content: UInt32,
    _ start: Int,
    _ stop: Int
  ) -> [UInt8] {
    var scalars = UTF8Text.scalars(token)[...]
    for _ in 0..<start where scalars.first == content { scalars.removeFirst() }
    for _ in 0..<stop where scalars.last == content { scalars.removeLast() }
    return UTF8Text.bytes(Array(scalars))
  }
}
