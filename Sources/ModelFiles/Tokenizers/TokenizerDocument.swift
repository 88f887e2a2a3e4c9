// Apache-2.0.
import Codecs

/// A `tokenizer.json` taken apart: its long lists packed, everything else a value.
///
/// The largest files hold hundreds of thousands of strings; as a tree they would take several times
/// the memory of the tables made of them.
struct TokenizerDocument {
  /// The document without the lists of the model.
  let root: JSONField
  /// `model.vocab`.
  let vocabulary: Vocabulary
  /// `model.merges`, left and right of each in turn; nil where there is none.
  let merges: ByteStrings?

  /// The kinds of models that are read.
  static let kinds = ["BPE", "WordPiece"]

  /// Reads a document.
  init(_ bytes: [UInt8]) throws(JSONError) {
    var parser = try JSONParser(bytes)
    var model = ModelReader()
    var members: [JSONValue.Member] = []
    try parser.members { parser, key throws(JSONError) in
      guard key == "model" else {
        members.append(.init(key, try parser.value()))
        return
      }
      guard model.tokens == nil else { throw Self.twice("model") }
      try parser.members { parser, key throws(JSONError) in try model.read(key, &parser) }
      members.append(.init("model", .object(model.members)))
    }
    try parser.finish()
    root = JSONField(.object(members), path: "")
    guard let tokens = model.tokens else { throw root["model"]["vocab"].unexpected("an object") }
    vocabulary = try Vocabulary(tokens, ids: model.ids, path: "model.vocab")
    merges = model.merges
  }

  fileprivate static func twice(_ path: String) -> JSONError {
    .unexpected(path: path, wanted: "to stand once")
  }
}

/// Collects the members of `model`.
private struct ModelReader {
  var members: [JSONValue.Member] = []
  var tokens: ByteStrings?
  var ids: [Int32] = []
  var merges: ByteStrings?

  mutating func read(_ key: String, _ parser: inout JSONParser) throws(JSONError) {
    switch key {
    case "vocab":
      guard tokens == nil else { throw TokenizerDocument.twice("model.vocab") }
      try refuseOtherKinds()
      try readTokens(&parser)
    case "merges":
      guard merges == nil else { throw TokenizerDocument.twice("model.merges") }
      try readMerges(&parser)
    default: members.append(.init(key, try parser.value()))
    }
  }

  /// Other kinds have other lists, so that the kind is what must be told.
  private func refuseOtherKinds() throws(JSONError) {
    guard case .string(let kind) = JSONValue.object(members)["type"],
      !TokenizerDocument.kinds.contains(kind)
    else { return }
    throw .unexpected(
      path: "model.type",
      wanted: "\(TokenizerDocument.kinds.joined(separator: " or ")), not \(kind)"
    )
  }

  private mutating func readTokens(_ parser: inout JSONParser) throws(JSONError) {
    var tokens = ByteStrings()
    var ids: [Int32] = []
    try parser.members { parser, token throws(JSONError) in
      guard case .integer(let id) = try parser.value(), let id = Int32(exactly: id), id >= 0,
        tokens.append(token.utf8)
      else { throw .unexpected(path: "model.vocab.\(token)", wanted: "an id") }
      ids.append(id)
    }
    self.tokens = tokens
    self.ids = ids
  }

  /// Merges in either spelling: "a b" or ["a", "b"].
  private mutating func readMerges(_ parser: inout JSONParser) throws(JSONError) {
    var merges = ByteStrings()
    try parser.items { parser, position throws(JSONError) in
      var isPair = false
      switch try parser.value() {
      case .string(let text):
        if text.utf8.starts(with: "#version".utf8) { return }
        let parts = text.utf8.split(
          separator: UInt8(ascii: " "),
          omittingEmptySubsequences: false
        )
        isPair = parts.count == 2 && merges.append(parts[0]) && merges.append(parts[1])
      case .array(let items):
        if items.count == 2, case .string(let left) = items[0], case .string(let right) = items[1] {
          isPair = merges.append(left.utf8) && merges.append(right.utf8)
        }
      default: break
      }
      guard isPair else {
        throw .unexpected(path: "model.merges[\(position)]", wanted: "a pair of tokens")
      }
    }
    self.merges = merges
  }
}
