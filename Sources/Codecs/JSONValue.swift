// Apache-2.0.

/// A JSON document as a value.
///
/// Objects keep the order of their keys.
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  /// An integer literal that fits.
  case integer(Int64)
  /// Any other number.
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([Member])

  /// One key of an object.
  public struct Member: Sendable, Equatable {
    /// The key, unescaped.
    public let key: String
    /// Its value.
    public let value: JSONValue

    /// A key with its value.
    public init(_ key: String, _ value: JSONValue) {
      self.key = key
      self.value = value
    }
  }
}

extension JSONValue {
  /// The value under `key`, where this is an object that has it (the last one, where a key repeats).
  public subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.last { $0.key == key }?.value
  }
}
