// Apache-2.0.

/// A value with the path that leads to it, so that what is wrong can be named: `run.data.batch_size`.
public struct JSONField: Sendable {
  /// The value; nil where the document has none.
  public let value: JSONValue?
  /// Keys and positions from the root.
  public let path: String

  /// The root of a document under a name for its path.
  public init(_ value: JSONValue, path: String) {
    self.value = value
    self.path = path
  }

  private init(value: JSONValue?, path: String) {
    self.value = value
    self.path = path
  }

  /// The field under a key, present or not.
  public subscript(key: String) -> JSONField {
    JSONField(value: value?[key], path: path.isEmpty ? key : "\(path).\(key)")
  }

  /// Whether the document has the field, and not as null.
  public var isPresent: Bool { value != nil && value != .null }

  /// Text.
  public func string() throws(JSONError) -> String {
    guard case .string(let text) = value else { throw unexpected("text") }
    return text
  }

  /// Text, or `fallback` where the field is missing or null.
  public func string(default fallback: String) throws(JSONError) -> String {
    isPresent ? try string() : fallback
  }

  /// A truth value, or `fallback` where the field is missing or null.
  public func bool(default fallback: Bool) throws(JSONError) -> Bool {
    isPresent ? try bool() : fallback
  }

  /// A truth value.
  public func bool() throws(JSONError) -> Bool {
    guard case .bool(let flag) = value else { throw unexpected("true or false") }
    return flag
  }

  /// An integer within `range`.
  public func integer(
    in range: ClosedRange<Int> = Int.min...Int.max
  ) throws(JSONError) -> Int {
    let wanted =
      range == Int.min...Int.max
      ? "an integer" : "an integer from \(range.lowerBound) to \(range.upperBound)"
    switch value {
    case .integer(let number):
      guard let found = Int(exactly: number), range.contains(found) else {
        throw unexpected(wanted)
      }
      return found
    case .number(let number):
      guard let found = Int(exactly: number), range.contains(found) else {
        throw unexpected(wanted)
      }
      return found
    default: throw unexpected(wanted)
    }
  }

  /// A finite number.
  public func number() throws(JSONError) -> Double {
    switch value {
    case .integer(let number): return Double(number)
    case .number(let number): return number
    default: throw unexpected("a number")
    }
  }

  /// The items of an array, each with its path.
  public func items() throws(JSONError) -> [JSONField] {
    guard case .array(let values) = value else { throw unexpected("an array") }
    return values.enumerated().map { JSONField($1, path: "\(path)[\($0)]") }
  }

  /// The members of an object in their order, each with its path.
  public func members() throws(JSONError) -> [(key: String, field: JSONField)] {
    guard case .object(let members) = value else { throw unexpected("an object") }
    return members.map { member in
      (
        member.key,
        JSONField(member.value, path: path.isEmpty ? member.key : "\(path).\(member.key)")
      )
    }
  }

  /// The error that this field is not what was wanted.
  public func unexpected(_ wanted: String) -> JSONError {
    .unexpected(path: path.isEmpty ? "document" : path, wanted: wanted)
  }
}
