// Apache-2.0.
import Datasets
import ModelFiles
import TestSupport
import Testing

/// Rows of every format to examples.
@Suite struct DatasetReaderTests {
  static let plain = LetterTokenizer(specials: ["</s>"])

  /// The text that the loss counts, everything else as dots.
  static func counted(_ example: Example, _ tokenizer: LetterTokenizer) -> String {
    zip(example.tokens, example.labels).map { token, label in
      label == Example.masked ? "." : tokenizer.decode([label], skipSpecialTokens: false)
    }.joined()
  }

  static func read(
    _ text: String,
    _ name: String = "data.jsonl",
    tokenizer: LetterTokenizer = plain,
    format: String = "auto",
    template: String = "auto",
    maximumLength: Int = 1000,
    labels: [String]? = nil,
    field: String? = nil,
    rowLimit: Int = 1000
  ) throws -> Dataset {
    let folder = TemporaryFolder()
    let path = folder.write(name, text)
    return try DatasetReader(
      tokenizer: tokenizer,
      format: format,
      template: template,
      maximumLength: maximumLength,
      labels: labels,
      field: field,
      rowLimit: rowLimit
    ).read(path: path)
  }

  @Test func `an instruction is masked and its answer counted, to the end mark`() throws {
    let data = try Self.read(
      #"{"instruction":"Add.","input":"1 1","output":"2"}"# + "\n"
        + #"{"instruction":"Sing.","output":"La"}"#
    )
    let texts = data.examples.map { Self.plain.decode($0.tokens, skipSpecialTokens: false) }
    #expect(texts[0].hasPrefix("Below is an instruction that describes a task, paired with"))
    #expect(texts[0].hasSuffix("### Instruction:\nAdd.\n\n### Input:\n1 1\n\n### Response:2</s>"))
    #expect(texts[1].hasSuffix("request.\n\n### Instruction:\nSing.\n\n### Response:La</s>"))
    for (example, answer) in zip(data.examples, ["2</s>", "La</s>"]) {
      let shown = Self.counted(example, Self.plain)
      #expect(shown.drop { $0 == "." } == answer)
    }
  }

  @Test func `what the assistant says is counted, in every spelling of a conversation`() throws {
    let chat = LetterTokenizer(specials: ["<|im_start|>", "<|im_end|>"])
    let data = try Self.read(
      #"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"Hi"},"#
        + #"{"role":"assistant","content":"Yo"}]}"# + "\r\n"
        + #"{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"},"#
        + #"{"from":"human","value":"c"},{"from":"gpt","value":"d"}]}"#,
      tokenizer: chat
    )
    let first = chat.decode(data.examples[0].tokens, skipSpecialTokens: false)
    #expect(
      first == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        + "<|im_start|>assistant\nYo<|im_end|>"
    )
    let shown = data.examples.map { Self.counted($0, chat).filter { $0 != "." } }
    #expect(shown == ["Yo<|im_end|>", "b<|im_end|>d<|im_end|>"])
  }

  @Test func `the marks of the vocabulary choose the template`() throws {
    let row = #"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#
    let llama = LetterTokenizer(
      specials: ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
      prefix: [0]
    )
    let data = try Self.read(row, tokenizer: llama)
    #expect(
      llama.decode(data.examples[0].tokens, skipSpecialTokens: false)
        == "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|>"
        + "<|start_header_id|>assistant<|end_header_id|>\n\na<|eot_id|>"
    )
    #expect(Self.counted(data.examples[0], llama).filter { $0 != "." } == "a<|eot_id|>")
    let fallback = try Self.read(row)
    #expect(
      Self.plain.decode(fallback.examples[0].tokens, skipSpecialTokens: false)
        == "### Instruction:\nq\n\n### Response:a</s>"
    )
    let asked = try Self.read(row, tokenizer: llama, template: "chatml")
    #expect(
      llama.decode(asked.examples[0].tokens, skipSpecialTokens: true)
        .hasPrefix("<|im_start|>user\nq<|im_end|>")
    )
  }

  @Test func `a long text is cut into pieces, a long answer loses its end`() throws {
    let framed = LetterTokenizer(specials: ["<s>", "</s>"], prefix: [0])
    let data = try Self.read(#"{"text":"abcdefg"}"#, tokenizer: framed, maximumLength: 4)
    #expect(
      data.examples.map { framed.decode($0.tokens, skipSpecialTokens: false) }
        == ["<s>abc", "<s>def", "<s>g</s>"]
    )
    #expect(data.examples.map { Self.counted($0, framed) } == [".abc", ".def", ".g</s>"])
    let long = try Self.read(
      #"{"instruction":"i","output":"0123456789"}"#,
      maximumLength: 180
    )
    #expect(long.examples[0].tokens.count <= 180)
    #expect(long.skipped.isEmpty)
  }

  @Test func `bad rows are skipped with their lines and reasons`() throws {
    let data = try Self.read(
      """
      {"text":"good"}
      {"text":
      [1]

      {"title":"x"}
      {"messages":[{"role":"robot","content":"x"}]}
      {"messages":[{"role":"user","content":"x"}]}
      {"text":""}
      {"text":"\(String(repeating: "x", count: 1000))"}
      {"text":"fine too"}
      """
    )
    #expect(data.examples.count == 2)
    #expect(data.skipped.map(\.line) == [2, 3, 5, 6, 7, 8, 9])
    let reasons = data.skipped.map(\.reason)
    #expect(reasons[0].hasPrefix("column "))
    #expect(reasons[1] == "not a JSON object")
    #expect(reasons[2].contains("text, instruction, messages or conversations"))
    #expect(reasons[3].contains("messages[0].role"))
    #expect(reasons[4].contains("assistant"))
    #expect(reasons[5] == "empty text")
    #expect(reasons[6] == "longer than 1000 bytes")
  }

  @Test func `bytes that are not UTF-8 cost their row alone`() throws {
    let folder = TemporaryFolder()
    let bad = Array(#"{"text":"a"#.utf8) + [0xFF, 0xFE] + Array("\"}\n".utf8)
    let path = folder.write("d.jsonl", bytes: bad + Array(#"{"text":"ok"}"#.utf8))
    let data = try DatasetReader(tokenizer: Self.plain, maximumLength: 8).read(path: path)
    #expect(data.examples.count == 1)
    #expect(data.skipped.map(\.line) == [1])
  }

  @Test func `labels become classes by name or by index`() throws {
    let framed = LetterTokenizer(specials: ["[CLS]", "[SEP]"], prefix: [0], suffix: [1])
    let data = try Self.read(
      """
      {"text":"abc","label":"no"}
      {"text":"abcdefghij","label":1}
      {"text":"x"}
      {"text":"x","label":2}
      {"text":"x","label":"maybe"}
      """,
      tokenizer: framed,
      maximumLength: 6,
      labels: ["no", "yes"]
    )
    #expect(data.examples.map(\.classIndex) == [0, 1])
    #expect(
      data.examples.map { framed.decode($0.tokens, skipSpecialTokens: false) }
        == ["[CLS]abc[SEP]", "[CLS]abcd[SEP]"]
    )
    #expect(data.skipped.map(\.line) == [3, 4, 5])
    #expect(data.skipped[2].reason.contains("\"maybe\""))
  }

  @Test func `quoted fields of CSV may hold commas, quotes and lines`() throws {
    let data = try Self.read(
      "label,text,author\r\nA,\"one, \"\"two\"\"\nthree\",x\r\nB,four,y\nA,too,many,fields\n"
        + "B,bad \" quote,z\n\nB,last,w",
      "rows.csv",
      labels: ["A", "B"],
      field: "author"
    )
    #expect(
      data.examples.map { Self.plain.decode($0.tokens, skipSpecialTokens: false) }
        == ["one, \"two\"\nthree", "four", "last"]
    )
    #expect(data.groups == ["x", "y", "w"])
    #expect(data.skipped.map(\.line) == [5, 6])
  }

  @Test func `a quote that is never closed costs one row, not the memory of the file`() throws {
    let data = try Self.read(
      "text\nok\n\"" + String(repeating: "never closed\n", count: 500),
      "rows.csv"
    )
    #expect(data.examples.count == 1)
    #expect(data.skipped == [SkippedRow(line: 3, reason: "a quoted field is not closed")])
  }

  @Test func `a header without text is refused`() {
    #expect(throws: DatasetError.self) { try Self.read("a,b\n1,2\n", "rows.csv") }
  }

  @Test func `a folder of plain texts gives a document a file, in the order of names`() throws {
    let folder = TemporaryFolder()
    _ = folder.write("b.txt", "second")
    _ = folder.write("a.txt", "\nfirst")
    _ = folder.write("inner/c.md", "third")
    _ = folder.write("bad.txt", bytes: [0x61, 0x0A, 0xC0, 0x80])
    _ = folder.write(".hidden", "never")
    let data = try DatasetReader(
      tokenizer: Self.plain,
      format: "folder",
      maximumLength: 100,
      field: "file"
    ).read(path: folder.path)
    #expect(
      data.examples.map { Self.plain.decode($0.tokens, skipSpecialTokens: true) }
        == ["\nfirst", "second", "third"]
    )
    #expect(data.groups.map { $0.split(separator: "/").last } == ["a.txt", "b.txt", "c.md"])
    #expect(data.skipped == [SkippedRow(line: 2, reason: "bad.txt: not UTF-8")])
  }

  @Test func `what is not there is refused in words`() {
    #expect(throws: DatasetError.self) { try Self.read("") }
    #expect(throws: DatasetError.self) { try Self.read("{}") }
    #expect(throws: DatasetError.self) {
      try DatasetReader(tokenizer: Self.plain, maximumLength: 8).read(path: "/nowhere/at/all")
    }
    #expect {
      _ = try DatasetReader(tokenizer: Self.plain, format: "alpacca", maximumLength: 8)
    } throws: { "\($0)".contains("alpaca") }
  }
}
