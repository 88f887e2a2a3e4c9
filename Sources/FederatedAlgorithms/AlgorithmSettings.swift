// Apache-2.0.
import Codecs

/// Typed reads from the `algorithm` object of a run configuration.
struct AlgorithmSettings {
  private let members: [JSONValue.Member]

  /// The members of an object; keys outside `known` are refused.
  init(_ value: JSONValue, known: [String]) throws(AlgorithmError) {
    guard case .object(let members) = value else {
      throw .setting("name", "the algorithm must be an object with a name")
    }
    self.members = members
    for member in members where member.key != "name" && !known.contains(member.key) {
      throw .setting(member.key, "no such setting; there are \(known.joined(separator: ", "))")
    }
  }

  /// A number in bounds, or `standard` where the key is absent.
  func number(_ key: String, in bounds: ClosedRange<Double>, standard: Double)
    throws(AlgorithmError) -> Double
  {
    let value: Double
    switch members.last(where: { $0.key == key })?.value {
    case nil: return standard
    case .integer(let number): value = Double(number)
    case .number(let number): value = number
    default: throw .setting(key, "must be a number")
    }
    guard bounds.contains(value) else {
      throw .setting(key, "\(value) is outside \(bounds.lowerBound)...\(bounds.upperBound)")
    }
    return value
  }

  /// A whole number in bounds, or `standard` where the key is absent.
  func integer(_ key: String, in bounds: ClosedRange<Int>, standard: Int)
    throws(AlgorithmError) -> Int
  {
    switch members.last(where: { $0.key == key })?.value {
    case nil: return standard
    case .integer(let number):
      guard let value = Int(exactly: number), bounds.contains(value) else {
        throw .setting(key, "\(number) is outside \(bounds.lowerBound)...\(bounds.upperBound)")
      }
      return value
    default: throw .setting(key, "must be a whole number")
    }
  }

  /// A yes or no, or `standard` where the key is absent.
  func flag(_ key: String, standard: Bool) throws(AlgorithmError) -> Bool {
    switch members.last(where: { $0.key == key })?.value {
    case nil: return standard
    case .bool(let flag): return flag
    default: throw .setting(key, "must be true or false")
    }
  }

  /// One of some words, or `standard`, else the first, where the key is absent.
  func word(
    _ key: String,
    of words: [String],
    standard: String? = nil
  ) throws(AlgorithmError) -> String {
    switch members.last(where: { $0.key == key })?.value {
    case nil: return standard ?? words[0]
    case .string(let word):
      guard words.contains(word) else {
        throw .setting(key, "'\(word)' is none of \(words.joined(separator: ", "))")
      }
      return word
    default: throw .setting(key, "must be one of \(words.joined(separator: ", "))")
    }
  }
}
