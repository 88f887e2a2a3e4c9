// Apache-2.0.
import ModelFiles

/// Turns rows into examples of one model: templates, special tokens, lengths, labels.
struct ExampleBuilder: Sendable {
  private let tokenizer: any Tokenizer
  private let maximumLength: Int
  private let template: ChatTemplate
  /// Instructions keep the template they were published with, unless another is asked for.
  private let instructionTemplate: ChatTemplate
  /// Classes by label; nil: language modeling.
  private let classes: [String: Int32]?
  private let classCount: Int
  /// What the tokenizer's own template puts before and behind a text.
  private let prefix: [Int32]
  private let suffix: [Int32]
  /// What ends a document or an answer, where the vocabulary has such a mark.
  private let end: [Int32]

  /// Spellings of the mark that ends a text, the first one found is used.
  private static let endSpellings = [
    "</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>", "<|eos|>", "[EOS]",
  ]

  init(
    tokenizer: any Tokenizer,
    maximumLength: Int,
    template: ChatTemplate?,
    labels: [String]?
  ) {
    self.tokenizer = tokenizer
    self.maximumLength = maximumLength
    self.template = template ?? .recognised(by: tokenizer)
    instructionTemplate = template ?? .alpaca
    classes = labels.map { labels in
      Dictionary(zip(labels, 0...)) { first, _ in first }
    }
    classCount = labels?.count ?? 0
    (prefix, suffix) = Self.frame(tokenizer)
    let special = Set(tokenizer.specialTokens)
    let mark = Self.endSpellings.lazy.compactMap(tokenizer.id).first { special.contains($0) }
    end = suffix.isEmpty ? mark.map { [$0] } ?? [] : suffix
  }

  /// The examples of a row: one, or several where a long text is cut into pieces.
  func examples(_ row: RowContent) throws(RowFault) -> [Example] {
    switch row {
    case .text(let text, let label):
      guard let classes else { return try documents(text) }
      return [try labelled(text, try classIndex(label, classes))]
    case .instruction(let instruction, let input, let output):
      guard classes == nil else { throw Self.needsText }
      let parts = instructionTemplate.parts(instruction: instruction, input: input, output: output)
      return [try answered(parts, endsText: instructionTemplate == .alpaca)]
    case .conversation(let turns):
      guard classes == nil else { throw Self.needsText }
      guard turns.contains(where: { $0.role == .assistant }) else {
        throw RowFault(reason: "no turn of the assistant to learn from")
      }
      let endsText = template == .alpaca && turns.last?.role == .assistant
      return [try answered(template.parts(turns), endsText: endsText)]
    }
  }

  private static let needsText = RowFault(reason: "a classifier learns from text and label")

  /// A text cut into pieces of at most the maximum length; every token is counted.
  private func documents(_ text: String) throws(RowFault) -> [Example] {
    let tokens = tokenizer.encode(text, addSpecialTokens: false) + end
    let room = maximumLength - prefix.count
    guard room >= 2 else { throw tooShort }
    var examples: [Example] = []
    for start in stride(from: 0, to: tokens.count, by: room) {
      let piece = tokens[start..<min(tokens.count, start + room)]
      // A piece of one token predicts nothing.
      guard prefix.count + piece.count >= 2, piece.count > end.count || start == 0 else { continue }
      let masked = [Int32](repeating: Example.masked, count: max(1, prefix.count))
      let all = prefix + piece
      examples.append(Example(tokens: all, labels: masked + all.dropFirst(masked.count)))
    }
    guard tokens.count > end.count, !examples.isEmpty else { throw RowFault(reason: "empty text") }
    return examples
  }

  /// A text with its class, cut at the maximum length.
  private func labelled(_ text: String, _ classIndex: Int32) throws(RowFault) -> Example {
    let room = maximumLength - prefix.count - suffix.count
    guard room >= 1 else { throw tooShort }
    let tokens = tokenizer.encode(text, addSpecialTokens: false)
    guard !tokens.isEmpty else { throw RowFault(reason: "empty text") }
    let all = prefix + tokens.prefix(room) + suffix
    return Example(
      tokens: all,
      labels: [Int32](repeating: Example.masked, count: all.count),
      classIndex: classIndex
    )
  }

  private func classIndex(
    _ label: RowLabel?,
    _ classes: [String: Int32]
  ) throws(RowFault) -> Int32 {
    switch label {
    case nil: throw RowFault(reason: "no label")
    case .name(let name):
      guard let index = classes[name] else {
        throw RowFault(reason: "label \"\(name)\" is none of the run's \(classCount)")
      }
      return index
    case .index(let number):
      if let index = classes["\(number)"] { return index }
      guard (0..<classCount).contains(number) else {
        throw RowFault(reason: "label \(number) is not below \(classCount)")
      }
      return Int32(number)
    }
  }

  /// A text of parts, of which only some are counted; cut at the maximum length.
  ///
  /// The text is tokenised whole, as the model meets it. A part begins behind the tokens that the
  /// text up to there and the whole text have in common, so a token across a border counts as
  /// belonging to the later part.
  private func answered(_ parts: [ChatTemplate.Part], endsText: Bool) throws(RowFault) -> Example {
    let whole = parts.map(\.text).joined()
    let tokens = tokenizer.encode(whole, addSpecialTokens: false)
    var labels = [Int32](repeating: Example.masked, count: tokens.count)
    var text = ""
    var start = 0
    for part in parts where !part.text.isEmpty {
      text += part.text
      let isLast = text.utf8.count == whole.utf8.count
      let border =
        isLast ? tokens.count : common(tokenizer.encode(text, addSpecialTokens: false), tokens)
      if part.isCounted, start < border { labels.replace(start..<border, with: tokens) }
      start = max(start, border)
    }
    let ending = endsText ? end : []
    let all = prefix + tokens + ending
    let allLabels = [Int32](repeating: Example.masked, count: prefix.count) + labels + ending
    let length = min(all.count, maximumLength)
    guard allLabels[..<length].dropFirst().contains(where: { $0 != Example.masked }) else {
      throw RowFault(reason: "no part of the answer within the first \(maximumLength) tokens")
    }
    return Example(tokens: Array(all[..<length]), labels: Array(allLabels[..<length]))
  }

  private func common(_ one: [Int32], _ other: [Int32]) -> Int {
    zip(one, other).prefix { $0 == $1 }.count
  }

  private var tooShort: RowFault {
    RowFault(reason: "a maximum length of \(maximumLength) leaves no room for text")
  }

  /// What the tokenizer puts around a text, found by encoding one with and without.
  private static func frame(_ tokenizer: any Tokenizer) -> (prefix: [Int32], suffix: [Int32]) {
    let bare = tokenizer.encode("a", addSpecialTokens: false)
    let framed = tokenizer.encode("a", addSpecialTokens: true)
    for start in 0...max(0, framed.count - bare.count)
    where framed.dropFirst(start).starts(with: bare) {
      return (Array(framed[..<start]), Array(framed[(start + bare.count)...]))
    }
    return ([], [])
  }
}

extension [Int32] {
  /// Copies the elements of `range` from another array of the same length.
  fileprivate mutating func replace(_ range: Range<Int>, with other: [Int32]) {
    for index in range { self[index] = other[index] }
  }
}
