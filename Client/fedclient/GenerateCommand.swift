// Apache-2.0.
import Codecs
import CommandLineTool
import FineTuning
import ModelFiles
import Models
import Tensors

let generateCommand = Command(
  "generate",
  "Go on with a text, token by token.",
  options: [
    ModelOptions.model,
    ModelOptions.adapter,
    .value("prompt", "TEXT", "What to go on with; may be repeated."),
    .value(
      "batch",
      "FILE.json",
      "Instead, rows of ids: {\"input_ids\": …, \"attention_mask\": …}."
    ),
    .value("max-new", "N", "New tokens at most (128)."),
    .flag(
      "greedy",
      "The likeliest token each time; what it does without --temperature, --top-p and --top-k."
    ),
    .value("temperature", "T", "Divides logits before a token is drawn (1)."),
    .value(
      "top-p",
      "P",
      "Draw among the likeliest tokens that together have this probability (1)."
    ),
    .value("top-k", "K", "Draw among the K likeliest tokens (all)."),
    .value("seed", "N", "Of the draws (0)."),
    .flag("ignore-end", "Go on after the token that ends a text."),
    ModelOptions.frozen,
    ModelOptions.threads,
  ],
  notes: """
    Writes the text that follows each prompt; with --format json, or --batch, one document with
    sequences, whole rows of ids, and new_ids, what was added to them.
    """
) { arguments, console in
  let model = try arguments.storedModel()
  let prompts = arguments.allValues("prompt")
  var tokenizer: (any Tokenizer)?
  let rows: [[Int32]]
  if let path = arguments.value("batch") {
    guard prompts.isEmpty else { throw CommandFailure.usage("either --prompt or --batch") }
    let json = try ModelFolder.json(path, limit: 1 << 30)
    do throws(JSONError) {
      let batch = try TokenRows(json)
      rows = zip(batch.ids, batch.lengths).map { Array($0.prefix(Int($1))) }
    } catch { throw CommandFailure("\(path): \(error)", code: .usage) }
  } else {
    guard !prompts.isEmpty else { throw CommandFailure.usage("--prompt or --batch is required") }
    let loaded = try model.tokenizer()
    tokenizer = loaded
    rows = prompts.map { loaded.encode($0, addSpecialTokens: true) }
  }
  let workspace = try TrainerWorkspace(
    model,
    team: ThreadTeam(threads: try arguments.threads()),
    perturbs: false
  )
  let ends = arguments.isSet("ignore-end") ? [] : try model.endTokens()
  let limit = try arguments.integer("max-new", in: 1...(1 << 20)) ?? 128
  let streams = tokenizer != nil && rows.count == 1 && console.format == .text
  var writer = TextStream(tokenizer: tokenizer)
  let clock = ContinuousClock()
  let start = clock.now
  let made = try workspace.generate(
    rows,
    maximumCount: limit,
    sampling: try arguments.sampling(),
    ends: ends
  ) { sequence, token in
    if streams { console.write(bytes: Array(writer.text(after: token).utf8)) }
  }
  let seconds = (clock.now - start) / .seconds(1)
  let count = made.reduce(0) { $0 + $1.count }
  if streams {
    console.write(writer.rest())
  } else if let tokenizer, console.format == .text {
    for row in made { console.write(tokenizer.decode(row, skipSpecialTokens: true)) }
  } else {
    func ids(_ rows: [[Int32]]) -> JSONValue {
      .array(rows.map { .array($0.map { .integer(Int64($0)) }) })
    }
    var members: [JSONValue.Member] = [
      .init("sequences", ids(zip(rows, made).map { $0 + $1 })), .init("new_ids", ids(made)),
    ]
    if let tokenizer {
      let texts = made.map { JSONValue.string(tokenizer.decode($0, skipSpecialTokens: true)) }
      members.append(.init("texts", .array(texts)))
    }
    console.write(JSONValue.object(members).serialized())
  }
  console.note("\(count) tokens, \(Int(Double(count) / seconds)) a second")
  return .ok
}

extension Arguments {
  fileprivate func sampling() throws(CommandFailure) -> Sampling {
    let temperature = try number("temperature", in: 0...1e6)
    let topP = try number("top-p", in: 0...1)
    let topK = try integer("top-k", in: 1...(1 << 30))
    let seed = UInt64(try integer("seed") ?? 0)
    guard temperature != nil || topP != nil || topK != nil else { return .greedy }
    guard !isSet("greedy") else {
      throw .usage("--greedy draws nothing: leave out --temperature, --top-p and --top-k")
    }
    return Sampling(
      temperature: temperature ?? 1,
      topP: topP ?? 1,
      topK: topK ?? .max,
      seed: seed
    )
  }
}

/// Text of tokens as they come, character by whole character.
private struct TextStream {
  let tokenizer: (any Tokenizer)?
  private var tokens: [Int32] = []
  private var written = 0

  init(tokenizer: (any Tokenizer)?) { self.tokenizer = tokenizer }

  /// What a token adds; nothing while a character is not whole.
  mutating func text(after token: Int32) -> String {
    tokens.append(token)
    let all = text
    guard !all.unicodeScalars.suffix(1).contains("\u{FFFD}") else { return "" }
    return take(all)
  }

  /// What was held back.
  mutating func rest() -> String { take(text) }

  private var text: String { tokenizer?.decode(tokens, skipSpecialTokens: true) ?? "" }

  private mutating func take(_ all: String) -> String {
    let new = String(decoding: all.utf8.dropFirst(written), as: UTF8.self)
    written = max(written, all.utf8.count)
    return new
  }
}
