// Apache-2.0.
import Codecs

/// Tokens that are found in the text itself before anything is cut.
struct AddedTokens: Sendable {
  /// One of them.
  struct Token: Sendable {
    let id: Int32
    let content: [UInt8]
    let isSpecial: Bool
    let standsAsWord: Bool
    let takesBlanksBefore: Bool
    let takesBlanksBehind: Bool
    let isNormalized: Bool
  }

  /// Looking for them takes as many steps at a place as the longest has bytes.
  static let longest = 1024

  /// By id.
  private(set) var byID: [Int32: Token] = [:]
  private var byContent: [[UInt8]: Int32] = [:]
  private var specialContents: Set<[UInt8]> = []
  private var raw = ByteTrie()
  private var normalized = ByteTrie()

  /// Reads `added_tokens`.
  ///
  /// - Throws: `JSONError` naming a token whose id is not the one its place gives it.
  init(
    _ field: JSONField,
    vocabulary: Vocabulary,
    normalizer: Normalizer?
  ) throws(JSONError) {
    guard field.isPresent else { return }
    let modelCount = Int32(vocabulary.entryCount)
    var largest: Int32?
    for item in try field.items() {
      let content = Array(try item["content"].string().utf8)
      if content.isEmpty { continue }
      guard content.count <= Self.longest else {
        throw item["content"].unexpected("at most \(Self.longest) bytes")
      }
      let id = Int32(try item["id"].integer(in: 0...Int(Int32.max) - 1))
      if let known = vocabulary.id(of: content) ?? byContent[content] {
        guard known == id else { throw item["id"].unexpected("\(known), the token's in the model") }
      } else {
        // The library numbers them itself, whatever the file says; where both agree, all is well.
        let next = largest.map { $0 >= modelCount ? $0 + 1 : modelCount } ?? modelCount
        guard next == id else { throw item["id"].unexpected("\(next), the next free id") }
      }
      largest = max(largest ?? id, id)
      let isSpecial = try item["special"].bool(default: false)
      let token = Token(
        id: id,
        content: content,
        isSpecial: isSpecial,
        standsAsWord: try item["single_word"].bool(default: false),
        takesBlanksBefore: try item["lstrip"].bool(default: false),
        takesBlanksBehind: try item["rstrip"].bool(default: false),
        isNormalized: try item["normalized"].bool(default: !isSpecial)
      )
      byID[id] = token
      byContent[content] = id
      if isSpecial { specialContents.insert(content) }
    }
    for token in byID.values {
      if token.isNormalized {
        normalized.insert(normalizer?.apply(token.content) ?? token.content, token.id)
      } else {
        raw.insert(token.content, token.id)
      }
    }
  }

  /// Ids of the special ones, ascending.
  var specialIDs: [Int32] { byID.values.filter(\.isSpecial).map(\.id).sorted() }

  /// The id of a token spelled so.
  func id(of content: [UInt8]) -> Int32? { byContent[content] }

  /// Whether a token spelled so is special.
  func isSpecial(_ content: [UInt8]) -> Bool { specialContents.contains(content) }

  /// A stretch of text, or a token found in it.
  enum Part {
    case text(Range<Int>)
    case token(Int32)
  }

  /// Finds those that are looked for before (`false`) or after (`true`) normalisation.
  func split(_ text: [UInt8], normalized isNormalized: Bool) -> [Part] {
    let trie = isNormalized ? normalized : raw
    guard !trie.isEmpty else { return text.isEmpty ? [] : [.text(0..<text.count)] }
    var parts: [Part] = []
    var covered = 0
    var position = 0
    while let (range, id) = trie.match(text, from: position) {
      position = range.upperBound
      guard let token = byID[id] else { continue }
      var (start, end) = (range.lowerBound, range.upperBound)
      if token.standsAsWord {
        let beside =
          start > 0 && Self.isWord(UTF8Text.previous(text, before: start).scalar)
          || end < text.count && Self.isWord(Self.scalar(text, end))
        if beside { continue }
      }
      if token.takesBlanksBefore {
        while start > covered {
          let (scalar, before) = UTF8Text.previous(text, before: start)
          guard ScalarClass.of(scalar).contains(.space) else { break }
          start = before
        }
        start = max(start, covered)
      }
      if token.takesBlanksBehind {
        var next = end
        while next < text.count {
          guard ScalarClass.of(UTF8Text.next(text, &next)).contains(.space) else { break }
          end = next
        }
      }
      if covered < start { parts.append(.text(covered..<start)) }
      parts.append(.token(id))
      covered = end
    }
    if covered < text.count { parts.append(.text(covered..<text.count)) }
    return parts
  }

  private static func scalar(_ text: [UInt8], _ position: Int) -> UInt32 {
    var position = position
    return UTF8Text.next(text, &position)
  }

  private static func isWord(_ scalar: UInt32) -> Bool { ScalarClass.of(scalar).contains(.word) }
}

/// Byte strings, of which the longest that begins at the earliest place is found.
struct ByteTrie: Sendable {
  private var edges: [UInt64: Int32] = [:]
  private var ids: [Int32?] = [nil]
  private var begins = [Bool](repeating: false, count: 256)

  var isEmpty: Bool { edges.isEmpty }

  /// Adds a string; of equal ones the smallest id counts.
  mutating func insert(_ bytes: [UInt8], _ id: Int32) {
    guard let first = bytes.first else { return }
    begins[Int(first)] = true
    var node: Int32 = 0
    for byte in bytes {
      let key = UInt64(node) << 8 | UInt64(byte)
      if let next = edges[key] {
        node = next
      } else {
        node = Int32(ids.count)
        ids.append(nil)
        edges[key] = node
      }
    }
    ids[Int(node)] = min(ids[Int(node)] ?? id, id)
  }

  /// The first match at or behind a place.
  func match(_ text: [UInt8], from start: Int) -> (Range<Int>, Int32)? {
    var position = start
    while position < text.count {
      if begins[Int(text[position])], let (end, id) = longest(text, position) {
        return (position..<end, id)
      }
      position += 1
    }
    return nil
  }

  private func longest(_ text: [UInt8], _ start: Int) -> (end: Int, id: Int32)? {
    var node: Int32 = 0
    var position = start
    var best: (Int, Int32)?
    while position < text.count, let next = edges[UInt64(node) << 8 | UInt64(text[position])] {
      node = next
      position += 1
      if let id = ids[Int(node)] { best = (position, id) }
    }
    return best
  }
}
