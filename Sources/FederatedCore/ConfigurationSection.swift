// Apache-2.0.
import Codecs

/// One object of a run file: typed reads that name the path of what they refuse.
struct ConfigurationSection {
  private let field: JSONField
  private let path: String

  /// An object, or nothing where it is absent; keys outside `known` are refused.
  init(_ json: JSONValue?, path: String, known: [String]?) throws(FederationError) {
    let json = json == .null ? nil : json
    self.path = path
    field = JSONField(json ?? .object([]), path: path)
    guard case .object(let members) = json ?? .object([]) else {
      throw .configuration(path: path.isEmpty ? "run file" : path, advice: "must be an object")
    }
    guard let known else { return }
    for member in members where !known.contains(member.key) {
      let near = nearestName(to: member.key, among: known)
      throw .configuration(
        path: place(member.key),
        advice: near.map { "no such key; did you mean \($0)?" }
          ?? "no such key; there are \(known.joined(separator: ", "))"
      )
    }
  }

  /// The object itself.
  var json: JSONValue { field.value ?? .object([]) }

  func has(_ key: String) -> Bool { field[key].isPresent }

  func isText(_ key: String) -> Bool {
    if case .string = field[key].value { true } else { false }
  }

  /// The object under a key, empty where it is absent.
  func section(_ key: String, known: [String]?) throws(FederationError) -> ConfigurationSection {
    try ConfigurationSection(field[key].value, path: place(key), known: known)
  }

  /// Text of 1 to 4,096 bytes, or `standard` where the key is absent.
  func text(_ key: String, standard: String? = nil) throws(FederationError) -> String {
    guard has(key) else {
      guard let standard else { throw fault(key, "missing") }
      return standard
    }
    return try text(of: field[key])
  }

  /// Texts, or `standard` where the key is absent.
  func texts(_ key: String, standard: [String]? = nil) throws(FederationError) -> [String] {
    guard has(key) else {
      guard let standard else { throw fault(key, "missing") }
      return standard
    }
    let items = try read { () throws(JSONError) in try field[key].items() }
    guard !items.isEmpty, items.count <= 1 << 16 else {
      throw fault(key, "from 1 to 65536 texts")
    }
    var texts: [String] = []
    for item in items { texts.append(try text(of: item)) }
    return texts
  }

  /// One of some words, the first where the key is absent.
  func word(_ key: String, of words: [String]) throws(FederationError) -> String {
    let word = try text(key, standard: words[0])
    guard words.contains(word) else {
      throw fault(key, "'\(word)' is none of \(words.joined(separator: ", "))")
    }
    return word
  }

  /// A whole number in bounds, or `standard` where the key is absent.
  func integer(
    _ key: String,
    in bounds: ClosedRange<Int>,
    standard: Int? = nil
  ) throws(FederationError) -> Int {
    guard has(key) else {
      guard let standard else { throw fault(key, "missing") }
      return standard
    }
    return try read { () throws(JSONError) in try field[key].integer(in: bounds) }
  }

  /// A number in bounds, or `standard` where the key is absent.
  func number(
    _ key: String,
    in bounds: ClosedRange<Double>,
    standard: Double
  ) throws(FederationError) -> Double {
    guard has(key) else { return standard }
    let number = try read { () throws(JSONError) in try field[key].number() }
    guard bounds.contains(number) else {
      throw fault(key, "\(number) is outside \(bounds.lowerBound)...\(bounds.upperBound)")
    }
    return number
  }

  /// A yes or no.
  func flag(_ key: String, standard: Bool) throws(FederationError) -> Bool {
    try read { () throws(JSONError) in try field[key].bool(default: standard) }
  }

  /// A length of time such as `90s`, `5m` or `250ms`, or a number of seconds.
  func duration(_ key: String, standard: Duration) throws(FederationError) -> Duration {
    guard has(key) else { return standard }
    guard isText(key) else {
      let seconds = try number(key, in: 0.001...1e9, standard: 0)
      return .milliseconds(Int((seconds * 1000).rounded()))
    }
    guard let duration = Duration(text: try text(key)), duration > .zero,
      duration <= .seconds(1_000_000_000)
    else {
      throw fault(key, "write a length of time such as \"90s\", \"5m\" or \"250ms\"")
    }
    return duration
  }

  /// Numbers of bytes such as `"24MiB"` or `"300000"`, none where the key is absent.
  func byteCounts(_ key: String) throws(FederationError) -> [Int] {
    guard has(key) else { return [] }
    return try texts(key).map { text throws(FederationError) in
      guard let count = byteCount(text), count > 0, count <= 1 << 50 else {
        throw fault(key, "write sizes such as [\"24MiB\", \"1GiB\"]")
      }
      return count
    }
  }

  private func text(of field: JSONField) throws(FederationError) -> String {
    let text = try read { () throws(JSONError) in try field.string() }
    guard !text.isEmpty, text.utf8.count <= 4096 else {
      throw .configuration(path: field.path, advice: "text of 1 to 4096 bytes")
    }
    return text
  }

  private func place(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  private func fault(_ key: String, _ advice: String) -> FederationError {
    .configuration(path: place(key), advice: advice)
  }

  private func read<T>(_ body: () throws(JSONError) -> T) throws(FederationError) -> T {
    do throws(JSONError) {
      return try body()
    } catch {
      switch error {
      case .unexpected(let path, let wanted):
        throw .configuration(path: path, advice: "expected \(wanted)")
      default: throw .configuration(path: "run file", advice: "\(error)")
      }
    }
  }
}

extension Duration {
  /// A whole number with its unit: `250ms`, `90s`, `5m`, `2h`; nil for anything else.
  public init?(text: String) {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let count = Int64(digits), count <= 1 << 40 else { return nil }
    switch text.dropFirst(digits.count) {
    case "ms": self = .milliseconds(count)
    case "s": self = .seconds(count)
    case "m": self = .seconds(60 * count)
    case "h": self = .seconds(3600 * count)
    default: return nil
    }
  }

  /// The length in whole milliseconds, as `init(text:)` reads it.
  var text: String {
    // The quotient of two durations is a binary64 that may lie just below the whole number.
    "\(Int64((self / .milliseconds(1)).rounded()))ms"
  }
}
