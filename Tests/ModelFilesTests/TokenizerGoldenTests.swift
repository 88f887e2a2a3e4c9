// Apache-2.0.
import Codecs
import ModelFiles
import TestSupport
import Testing

/// Every tokenizer of Tests/Golden/tokenizers against what the `tokenizers` library said.
@Suite struct TokenizerGoldenTests {
  static let folder = SourceTree.golden("tokenizers")

  static let names = [
    "gpt2", "roberta", "llama3", "qwen2", "smollm", "llama2", "mistral", "metaspace", "bert",
    "bertcased",
  ]

  static func lines(_ name: String) throws -> [JSONValue] {
    try ModelFolder.bytes("\(folder)/\(name)", limit: 1 << 22)
      .split(separator: UInt8(ascii: "\n"))
      .map { try JSONValue.parse(Array($0)) }
  }

  static func texts() throws -> [String] {
    try lines("texts.jsonl").map { try JSONField($0, path: "text").string() }
  }

  static func load(_ name: String) throws -> any Tokenizer {
    let path = "\(folder)/\(name).json"
    return try TokenizerFile.parse(try ModelFolder.bytes(path, limit: 1 << 20), file: path)
  }

  static func ids(_ field: JSONField) throws -> [Int32] {
    try field.items().map { Int32(try $0.integer()) }
  }

  @Test(arguments: names) func `texts encode to the library's ids`(_ name: String) throws {
    let tokenizer = try Self.load(name)
    let texts = try Self.texts()
    let wanted = try Self.lines("\(name).ids.jsonl")
    try #require(texts.count >= 1000 && wanted.count == texts.count)
    var wrong = 0
    for (text, line) in zip(texts, wanted) {
      let parts = try JSONField(line, path: name).items().map(Self.ids)
      let plain = tokenizer.encode(text, addSpecialTokens: false)
      let marked = tokenizer.encode(text, addSpecialTokens: true)
      if plain != parts[0] || marked != parts[1] + parts[0] + parts[2] {
        wrong += 1
        if wrong <= 3 {
          Issue.record("\(name): \(text.debugDescription): \(plain), wanted \(parts[0])")
        }
      }
    }
    #expect(wrong == 0)
  }

  @Test(arguments: names) func `ids decode to the library's texts`(_ name: String) throws {
    let tokenizer = try Self.load(name)
    let texts = try Self.texts()
    let ids = try Self.lines("\(name).ids.jsonl")
    let wanted = try Self.lines("\(name).text.jsonl")
    try #require(wanted.count == texts.count && ids.count == texts.count)
    var wrong = 0
    func check(_ ids: [Int32], _ wanted: String, skipping: Bool) {
      let text = tokenizer.decode(ids, skipSpecialTokens: skipping)
      // Compared byte by byte: strings would be equal in any normal form.
      guard !text.utf8.elementsEqual(wanted.utf8) else { return }
      wrong += 1
      if wrong <= 3 {
        Issue.record("\(name): \(ids): \(text.debugDescription), not \(wanted.debugDescription)")
      }
    }
    for (index, line) in wanted.enumerated() {
      let parts = try JSONField(ids[index], path: name).items().map(Self.ids)
      let text = line == .null ? texts[index] : try JSONField(line, path: name).string()
      check(parts[1] + parts[0] + parts[2], text, skipping: true)
    }
    for (index, line) in try Self.lines("\(name).drawn.jsonl").enumerated() {
      let parts = try JSONField(line, path: name).items()
      check(try Self.ids(parts[0]), try parts[1].string(), skipping: index % 2 == 0)
    }
    #expect(wrong == 0)
  }
}
