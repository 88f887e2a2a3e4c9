// Apache-2.0.
public import Codecs

/// `config.json` of a model folder, read with the spellings of transformers 4 and 5.
public struct ModelSettings: Sendable {
  private let root: JSONField

  /// The settings in `json`, the object of a `config.json`.
  public init(_ json: JSONValue) { root = JSONField(json, path: "") }

  /// Whether a key is there and not null.
  func isPresent(_ key: String) -> Bool { root[key].isPresent }

  func string(_ key: String, default fallback: String? = nil) throws(ModelError) -> String {
    if let fallback, !isPresent(key) { return fallback }
    return try read { () throws(JSONError) in try root[key].string() }
  }

  func bool(_ key: String, default fallback: Bool) throws(ModelError) -> Bool {
    guard isPresent(key) else { return fallback }
    return try read { () throws(JSONError) in try root[key].bool() }
  }

  /// A count of at least one.
  func count(_ key: String, default fallback: Int? = nil) throws(ModelError) -> Int {
    if let fallback, !isPresent(key) { return fallback }
    // Far beyond any model, and small enough that products of two cannot overflow.
    return try read { () throws(JSONError) in try root[key].integer(in: 1...1 << 28) }
  }

  func number(_ key: String, default fallback: Double? = nil) throws(ModelError) -> Double {
    if let fallback, !isPresent(key) { return fallback }
    return try read { () throws(JSONError) in try root[key].number() }
  }

  func strings(_ key: String) throws(ModelError) -> [String] {
    guard isPresent(key) else { return [] }
    return try read { () throws(JSONError) in
      var all: [String] = []
      for item in try root[key].items() { all.append(try item.string()) }
      return all
    }
  }

  /// The object under a key, nil where there is none.
  func section(_ key: String) -> ModelSettings? {
    root[key].value.flatMap { value in
      if case .object = value { ModelSettings(value) } else { nil }
    }
  }

  /// The value under a key as it is.
  func raw(_ key: String) -> JSONValue? { root[key].value }

  /// Refuses a key that is there with another value than `harmless`.
  func refuse(_ key: String, unless harmless: JSONValue? = nil) throws(ModelError) {
    guard let value = root[key].value, value != .null, value != harmless else { return }
    throw .unsupported(key: key, value: value.serialized())
  }

  private func read<Value>(
    _ body: () throws(JSONError) -> Value
  ) throws(ModelError) -> Value {
    do { return try body() } catch { throw .configuration("\(error)") }
  }
}
