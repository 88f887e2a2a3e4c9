// Apache-2.0.

/// Where and why a document is not what was wanted.
public enum JSONError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The bytes are not the dialect's grammar.
  case syntax(line: Int, column: Int, reason: String)
  /// The document goes beyond a limit.
  case tooLarge(what: String, limit: Int)
  /// A value is missing or of another kind: the path to it, and what was wanted.
  case unexpected(path: String, wanted: String)

  /// What was wrong and where.
  public var description: String {
    switch self {
    case .syntax(let line, let column, let reason): "line \(line), column \(column): \(reason)"
    case .tooLarge(let what, let limit): "\(what) exceeds \(limit)"
    case .unexpected(let path, let wanted): "\(path): expected \(wanted)"
    }
  }
}

/// The grammar a document follows.
public enum JSONDialect: Sendable {
  /// RFC 8259.
  case json
  /// JSON5 (json5.org): comments, trailing commas, bare keys, single quotes, hexadecimal numbers.
  /// Infinity and NaN are refused: no configuration has a use for them.
  case json5
}

/// Bounds on a document.
public struct JSONLimits: Sendable {
  /// Bytes of the document.
  public var bytes: Int
  /// Arrays and objects within one another.
  public var depth: Int

  /// Bounds.
  public init(bytes: Int = 256 << 20, depth: Int = 128) {
    self.bytes = bytes
    self.depth = depth
  }
}

extension JSONValue {
  /// Parses a whole document.
  ///
  /// - Parameters:
  ///   - bytes: UTF-8; other encodings and invalid sequences are refused.
  ///   - dialect: the grammar.
  ///   - uniqueKeys: refuse an object that has a key twice, instead of keeping both.
  /// - Throws: `JSONError` with line and column, counted in bytes from 1.
  public static func parse(
    _ bytes: [UInt8],
    dialect: JSONDialect = .json,
    limits: JSONLimits = JSONLimits(),
    uniqueKeys: Bool = false
  ) throws(JSONError) -> JSONValue {
    guard bytes.count <= limits.bytes else {
      throw .tooLarge(what: "document of \(bytes.count) bytes", limit: limits.bytes)
    }
    var parser = JSONParser(
      bytes: bytes,
      json5: dialect == .json5,
      maximumDepth: limits.depth,
      uniqueKeys: uniqueKeys
    )
    return try parser.document()
  }
}

/// Recursive descent over bytes; recursion is bounded by `maximumDepth`.
///
/// `JSONValue.parse` reads a document into a value; a caller that must not hold a large document as
/// one walks it with `members` and `items`.
public struct JSONParser: Sendable {
  let bytes: [UInt8]
  let json5: Bool
  let maximumDepth: Int
  let uniqueKeys: Bool
  var position = 0
  var depth = 0

  /// A parser at the start of a document of RFC 8259.
  ///
  /// - Throws: `JSONError.tooLarge`.
  public init(
    _ bytes: [UInt8],
    limits: JSONLimits = JSONLimits(),
    uniqueKeys: Bool = false
  ) throws(JSONError) {
    guard bytes.count <= limits.bytes else {
      throw .tooLarge(what: "document of \(bytes.count) bytes", limit: limits.bytes)
    }
    self.init(
      bytes: bytes,
      json5: false,
      maximumDepth: limits.depth,
      uniqueKeys: uniqueKeys
    )
  }

  init(bytes: [UInt8], json5: Bool, maximumDepth: Int, uniqueKeys: Bool) {
    self.bytes = bytes
    self.json5 = json5
    self.maximumDepth = maximumDepth
    self.uniqueKeys = uniqueKeys
  }

  var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  mutating func document() throws(JSONError) -> JSONValue {
    let value = try value()
    try finish()
    return value
  }

  /// Refuses anything but blanks behind the document.
  public mutating func finish() throws(JSONError) {
    try skipBlank()
    guard next == nil else { throw failure("expected the end of the document") }
  }

  func failure(_ reason: String, at offset: Int? = nil) -> JSONError {
    let end = min(offset ?? position, bytes.count)
    var line = 1
    var start = 0
    for index in 0..<end where bytes[index] == UInt8(ascii: "\n") {
      line += 1
      start = index + 1
    }
    return .syntax(line: line, column: end - start + 1, reason: reason)
  }

  /// Reads the next value.
  public mutating func value() throws(JSONError) -> JSONValue {
    try skipBlank()
    switch next {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try string(quote: UInt8(ascii: "\"")))
    case UInt8(ascii: "'") where json5: return .string(try string(quote: UInt8(ascii: "'")))
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case .some(let byte) where Self.startsNumber(byte, json5: json5): return try number()
    case .some: throw failure("expected a value")
    case .none: throw failure("expected a value, found the end of the document")
    }
  }

  private static func startsNumber(_ byte: UInt8, json5: Bool) -> Bool {
    switch byte {
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    case UInt8(ascii: "+"), UInt8(ascii: "."): json5
    default: false
    }
  }

  private mutating func word(_ text: StaticString, _ value: JSONValue) throws(JSONError)
    -> JSONValue
  {
    let expected = Array("\(text)".utf8)
    guard bytes[position...].starts(with: expected) else { throw failure("expected \(text)") }
    position += expected.count
    return value
  }

  private mutating func enter() throws(JSONError) {
    depth += 1
    guard depth <= maximumDepth else { throw .tooLarge(what: "nesting", limit: maximumDepth) }
    position += 1
  }

  private mutating func array() throws(JSONError) -> JSONValue {
    var items: [JSONValue] = []
    try self.items { parser, _ throws(JSONError) in items.append(try parser.value()) }
    return .array(items)
  }

  private mutating func object() throws(JSONError) -> JSONValue {
    var members: [JSONValue.Member] = []
    try self.members { parser, key throws(JSONError) in
      members.append(JSONValue.Member(key, try parser.value()))
    }
    return .object(members)
  }

  /// Walks the array that is next: `body` reads the item of each position, all of it.
  public mutating func items(
    _ body: (inout JSONParser, Int) throws(JSONError) -> Void
  ) throws(JSONError) {
    try skipBlank()
    guard next == UInt8(ascii: "[") else { throw failure("expected an array") }
    try enter()
    defer { depth -= 1 }
    var count = 0
    while true {
      try skipBlank()
      if next == UInt8(ascii: "]"), json5 || count == 0 { break }
      try body(&self, count)
      count += 1
      if try endsAfterComma(UInt8(ascii: "]")) { break }
    }
    position += 1
  }

  /// Walks the object that is next: `body` reads the value of each key, all of it.
  public mutating func members(
    _ body: (inout JSONParser, String) throws(JSONError) -> Void
  ) throws(JSONError) {
    try skipBlank()
    guard next == UInt8(ascii: "{") else { throw failure("expected an object") }
    try enter()
    defer { depth -= 1 }
    var isFirst = true
    var seen = Set<String>()
    while true {
      try skipBlank()
      if next == UInt8(ascii: "}"), json5 || isFirst { break }
      isFirst = false
      let start = position
      let key = try key()
      if uniqueKeys, !seen.insert(key).inserted {
        throw failure("the key \"\(key)\" stands twice", at: start)
      }
      try skipBlank()
      guard next == UInt8(ascii: ":") else { throw failure("expected ':' after a key") }
      position += 1
      try body(&self, key)
      if try endsAfterComma(UInt8(ascii: "}")) { break }
    }
    position += 1
  }

  /// Takes the comma after an item; true where `close` is next instead.
  private mutating func endsAfterComma(_ close: UInt8) throws(JSONError) -> Bool {
    try skipBlank()
    if next == close { return true }
    guard next == UInt8(ascii: ",") else {
      throw failure("expected ',' or '\(Character(UnicodeScalar(close)))'")
    }
    position += 1
    if !json5 {
      try skipBlank()
      if next == close { throw failure("a comma before the closing bracket") }
    }
    return false
  }

  private mutating func key() throws(JSONError) -> String {
    switch next {
    case UInt8(ascii: "\""): return try string(quote: UInt8(ascii: "\""))
    case UInt8(ascii: "'") where json5: return try string(quote: UInt8(ascii: "'"))
    default:
      let start = position
      while json5, let byte = next, Self.isIdentifier(byte, first: position == start) {
        position += 1
      }
      guard position > start else { throw failure("expected a key") }
      return String(decoding: bytes[start..<position], as: UTF8.self)
    }
  }

  /// ASCII identifiers; other bare keys need quotes.
  private static func isIdentifier(_ byte: UInt8, first: Bool) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "_"), UInt8(ascii: "$"):
      true
    case UInt8(ascii: "0")...UInt8(ascii: "9"): !first
    default: false
    }
  }

  mutating func skipBlank() throws(JSONError) {
    while let byte = next {
      switch byte {
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
        position += 1
      case UInt8(ascii: "/") where json5: try skipComment()
      default: return
      }
    }
  }

  private mutating func skipComment() throws(JSONError) {
    let start = position
    position += 1
    switch next {
    case UInt8(ascii: "/"):
      while let byte = next, byte != UInt8(ascii: "\n") { position += 1 }
    case UInt8(ascii: "*"):
      position += 1
      while position + 1 < bytes.count {
        if bytes[position] == UInt8(ascii: "*"), bytes[position + 1] == UInt8(ascii: "/") {
          position += 2
          return
        }
        position += 1
      }
      throw failure("a comment without its end", at: start)
    default: throw failure("expected a comment", at: start)
    }
  }
}
