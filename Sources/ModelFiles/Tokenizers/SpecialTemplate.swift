// Apache-2.0.
import Codecs

/// The special tokens that stand around a text, as `post_processor` says.
struct SpecialTemplate: Sendable, Equatable {
  private(set) var before: [Int32] = []
  private(set) var behind: [Int32] = []

  /// Reads `post_processor`, which may be null.
  ///
  /// - Throws: `JSONError` naming a kind that is not supported.
  init(_ field: JSONField) throws(JSONError) { try read(field) }

  /// More special tokens than any template puts around a text.
  static let maximumTokens = 256

  private mutating func read(_ field: JSONField) throws(JSONError) {
    guard field.isPresent else { return }
    switch try field["type"].string() {
    case "Sequence":
      for item in try field["processors"].items() { try read(item) }
    case "ByteLevel": break  // it moves offsets only
    case "BertProcessing", "RobertaProcessing":
      before = [try Self.pair(field["cls"])] + before
      behind.append(try Self.pair(field["sep"]))
    case "TemplateProcessing": try template(field)
    case let other:
      throw field["type"].unexpected(
        "Sequence, ByteLevel, BertProcessing, RobertaProcessing or TemplateProcessing, not \(other)"
      )
    }
  }

  /// The id of ["[CLS]", 101].
  private static func pair(_ field: JSONField) throws(JSONError) -> Int32 {
    let items = try field.items()
    guard items.count == 2 else { throw field.unexpected("a token and its id") }
    return try id(items[1])
  }

  private static func id(_ field: JSONField) throws(JSONError) -> Int32 {
    Int32(try field.integer(in: 0...Int(Int32.max) - 1))
  }

  private mutating func template(_ field: JSONField) throws(JSONError) {
    var head: [Int32] = []
    var tail: [Int32] = []
    var seen = false
    for item in try field["single"].items() {
      if item["Sequence"].isPresent {
        guard try item["Sequence"]["id"].string() == "A", !seen else {
          throw item.unexpected("the text once")
        }
        seen = true
      } else {
        let name = try item["SpecialToken"]["id"].string()
        let ids = try field["special_tokens"][name]["ids"].items()
        guard head.count + tail.count + ids.count <= Self.maximumTokens else {
          throw field["single"].unexpected("at most \(Self.maximumTokens) special tokens")
        }
        for id in ids {
          if seen { tail.append(try Self.id(id)) } else { head.append(try Self.id(id)) }
        }
      }
    }
    guard seen else { throw field["single"].unexpected("the text once") }
    before = head + before
    behind += tail
  }
}
