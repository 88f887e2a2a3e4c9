// Apache-2.0.
import Codecs
import ModelFiles
import Testing

@Suite struct TokenizerFileTests {
  static let vocabulary = #""vocab":{"a":0,"b":1,"ab":2,"[UNK]":3}"#
  static let pair = #""type":"BPE",\#(vocabulary),"merges":["a b"]"#

  static let long = String(repeating: "x", count: 1000)
  static let doubling = [String](
    repeating: #"{"type":"Replace","pattern":{"String":"a"},"content":"aa"}"#,
    count: 7
  ).joined(separator: ",")

  static func parse(_ text: String) throws(ModelFileError) -> any Tokenizer {
    try TokenizerFile.parse(Array(text.utf8), file: "t")
  }

  @Test func `the smallest files load, with and without their model's kind`() throws {
    let bytePair = try Self.parse(#"{"model":{\#(Self.vocabulary),"merges":["a b"]}}"#)
    #expect(bytePair.encode("abba", addSpecialTokens: true) == [2, 1, 0])
    #expect(bytePair.decode([2, 1, 9, -1], skipSpecialTokens: false) == "ab b")
    let wordPiece = try Self.parse(#"{"model":{\#(Self.vocabulary),"unk_token":"[UNK]"}}"#)
    #expect(wordPiece.encode("ab", addSpecialTokens: false) == [2])
    #expect(wordPiece.encode("abab", addSpecialTokens: false) == [3])
    #expect(wordPiece.vocabularyCount == 4)
    #expect(wordPiece.id(of: "ab") == 2 && wordPiece.token(of: 2) == "ab")
    #expect(wordPiece.id(of: "x") == nil && wordPiece.token(of: 4) == nil)
  }

  @Test func `merges are read in either spelling`() throws {
    let strings = try Self.parse(#"{"model":{\#(Self.pair)}}"#)
    let pairs = try Self.parse(
      #"{"model":{"merges":[["a","b"]],"type":"BPE",\#(Self.vocabulary)}}"#
    )
    for text in ["", "a", "ab", "aab", "abab", "bbaa"] {
      #expect(
        strings.encode(text, addSpecialTokens: false) == pairs.encode(text, addSpecialTokens: false)
      )
    }
  }

  @Test func `canonically equal tokens are different tokens`() throws {
    let tokenizer = try Self.parse(
      #"{"model":{"type":"BPE","vocab":{"\u00e9":0,"e\u0301":1,"e":2,"\u0301":3},"merges":["e \u0301"]}}"#
    )
    #expect(tokenizer.encode("\u{E9}e\u{301}", addSpecialTokens: false) == [0, 1])
    #expect(tokenizer.token(of: 1)?.unicodeScalars.count == 2)
  }

  @Test func `special tokens are told apart`() throws {
    let tokenizer = try Self.parse(
      #"""
      {"added_tokens":[{"id":4,"content":"<s>","special":true},{"id":5,"content":"<x>"}],
      "post_processor":{"type":"BertProcessing","sep":["<s>",4],"cls":["<s>",4]},
      "model":{\#(Self.pair)}}
      """#
    )
    #expect(tokenizer.specialTokens == [4])
    #expect(tokenizer.vocabularyCount == 6)
    #expect(tokenizer.encode("a<x>", addSpecialTokens: true) == [4, 0, 5, 4])
    #expect(tokenizer.decode([4, 0, 5, 4], skipSpecialTokens: true) == "a <x>")
  }

  /// A file, and what its refusal names.
  @Test(arguments: [
    (#"{"model":{"type":"Unigram","vocab":[["a",0]]}}"#, "not Unigram"),
    (#"{"normalizer":{"type":"NFKC"},"model":{\#(pair)}}"#, "not NFKC"),
    (#"{"normalizer":{"type":"Precompiled"},"model":{\#(pair)}}"#, "not Precompiled"),
    (
      #"{"normalizer":{"type":"Sequence","normalizers":[{"type":"Nmt"}]},"model":{\#(pair)}}"#,
      "normalizer.normalizers[0].type"
    ),
    (#"{"pre_tokenizer":{"type":"Whitespace"},"model":{\#(pair)}}"#, "not Whitespace"),
    (
      #"{"pre_tokenizer":{"type":"Split","pattern":{"Regex":"a+"},"behavior":"Isolated"},"model":{\#(pair)}}"#,
      "pre_tokenizer.pattern"
    ),
    (
      #"{"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"Digits"}]},"model":{\#(pair)}}"#,
      "behind a ByteLevel"
    ),
    (#"{"post_processor":{"type":"Other"},"model":{\#(pair)}}"#, "not Other"),
    (
      #"{"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B"}}]},"model":{\#(pair)}}"#,
      "the text once"
    ),
    (
      #"{"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}},{"Sequence":{"id":"A"}}]},"model":{\#(pair)}}"#,
      "special_tokens.x"
    ),
    (#"{"decoder":{"type":"BPEDecoder"},"model":{\#(pair)}}"#, "not BPEDecoder"),
    (#"{"decoder":{"type":"CTC"},"model":{\#(pair)}}"#, "not CTC"),
    (#"{"model":{\#(pair),"dropout":0.1}}"#, "model.dropout"),
    (#"{"model":{\#(pair),"end_of_word_suffix":"</w>"}}"#, "model.end_of_word_suffix"),
    (#"{"model":{\#(pair),"continuing_subword_prefix":"@@"}}"#, "continuing_subword_prefix"),
    (#"{"model":{\#(pair),"unk_token":"?"}}"#, "model.unk_token"),
    (#"{"model":{\#(vocabulary),"type":"BPE","merges":["a c"]}}"#, "model.merges[0]"),
    (#"{"model":{\#(vocabulary),"type":"BPE","merges":["a b","b a"]}}"#, "model.merges[1]"),
    (#"{"model":{\#(vocabulary),"type":"BPE","merges":["a b c"]}}"#, "model.merges[0]"),
    (#"{"model":{\#(vocabulary),"type":"BPE","merges":[["a"]]}}"#, "model.merges[0]"),
    (#"{"model":{\#(vocabulary),"type":"BPE"}}"#, "model.merges"),
    (#"{"model":{\#(vocabulary),"type":"WordPiece"}}"#, "model.unk_token"),
    (#"{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}"#, "model.vocab.a"),
    (#"{"model":{"type":"BPE","vocab":{"a":2147483647},"merges":[]}}"#, "model.vocab"),
    (#"{"model":{"type":"BPE","vocab":{"a":1e9},"merges":[]}}"#, "model.vocab.a"),
    (#"{"model":{"type":"BPE","vocab":{"a":"b"},"merges":[]}}"#, "model.vocab.a"),
    (#"{"model":{\#(pair),\#(vocabulary)}}"#, "model.vocab"),
    (#"{"model":{\#(pair)},"model":{\#(pair)}}"#, "model"),
    (#"{"added_tokens":[{"id":7,"content":"x"}],"model":{\#(pair)}}"#, "added_tokens[0].id"),
    (#"{"added_tokens":[{"id":1,"content":"a"}],"model":{\#(pair)}}"#, "added_tokens[0].id"),
    (#"{"added_tokens":[{"content":"a"}],"model":{\#(pair)}}"#, "added_tokens[0].id"),
    (
      #"{"normalizer":{"type":"Replace","pattern":{"String":"a"},"content":"\#(long)"},"model":{\#(pair)}}"#,
      "normalizer: expected replacements"
    ),
    (#"{"normalizer":{"type":"Prepend","prepend":"\#(long)"},"model":{\#(pair)}}"#, "normalizer"),
    (
      #"{"decoder":{"type":"Sequence","decoders":[\#(doubling)]},"model":{\#(pair)}}"#,
      "decoder: expected replacements"
    ),
    (#"{"decoder":{"type":"Metaspace","replacement":"ab"},"model":{\#(pair)}}"#, "one character"),
    (
      #"{"pre_tokenizer":{"type":"Metaspace","replacement":""},"model":{\#(pair)}}"#,
      "one character"
    ),
    (
      #"{"added_tokens":[{"id":4,"content":"\#(long + long)"}],"model":{\#(pair)}}"#,
      "added_tokens[0].content"
    ),
    (
      #"{"model":{\#(vocabulary),"type":"WordPiece","unk_token":"a","max_input_chars_per_word":1001}}"#,
      "max_input_chars_per_word"
    ),
    (#"{}"#, "model.vocab"), (#"{"model":[]}"#, "expected an object"), ("[]", "expected an object"),
    ("", "line 1"), (#"{"model":{\#(pair)}} x"#, "end of the document"),
  ])
  func `what is not supported or wrong is refused by name`(_ text: String, _ named: String) {
    do throws(ModelFileError) {
      _ = try Self.parse(text)
      Issue.record("\(text) loaded")
    } catch {
      #expect("\(error)".contains(named), "\(error)")
      #expect("\(error)".hasPrefix("t: "))
    }
  }

  @Test func `every prefix of a file is refused`() throws {
    let text = Array(
      try ModelFolder.bytes("\(TokenizerGoldenTests.folder)/metaspace.json", limit: 1 << 20)
    )
    for count in stride(from: 0, to: text.count, by: 97) {
      #expect(throws: ModelFileError.self) {
        try TokenizerFile.parse(Array(text.prefix(count)))
      }
    }
  }

  @Test func `a folder without a tokenizer says so`() {
    #expect(throws: ModelFileError.self) { try TokenizerFile.load(directory: "/nowhere") }
  }

  @Test func `tasks share a tokenizer`() async throws {
    let tokenizer = try TokenizerGoldenTests.load("qwen2")
    let texts = try TokenizerGoldenTests.texts()
    let wanted = texts.map { tokenizer.encode($0, addSpecialTokens: true) }
    await withTaskGroup(of: Bool.self) { group in
      for start in 0..<4 {
        group.addTask {
          stride(from: start, to: texts.count, by: 4).allSatisfy {
            tokenizer.encode(texts[$0], addSpecialTokens: true) == wanted[$0]
          }
        }
      }
      for await isEqual in group { #expect(isEqual) }
    }
  }
}
