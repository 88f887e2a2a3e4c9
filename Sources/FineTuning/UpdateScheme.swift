// Apache-2.0.
public import GraphCompiler

/// Which parts of a model learn, as written by a person.
///
///     scheme = term { "+" term }
///     term   = "full" | "head"
///            | "blocks:last=K"
///            | "bias" [":last=K"]
///            | "weights:PATTERN" [",fraction=R"] [",last=K"]
///            | "lora:rank=R" [",alpha=A"] [",targets=NAME/NAME…"] [",last=K"]
///
/// `head` is what the last layer reads; blocks are counted by the first number in a tensor's name;
/// a fraction, as in `1/4` or `0.25`, is that of a matrix's input channels, the first ones. Terms add
/// up: `bias:last=2+head` trains the biases of the last two blocks and the head.
public struct UpdateScheme: Sendable, Hashable, CustomStringConvertible {
  /// One part of a scheme.
  public enum Term: Sendable, Hashable {
    /// Every tensor.
    case full
    /// What the last layer reads.
    case head
    /// Every tensor of the last blocks.
    case blocks(last: Int)
    /// Biases, of the last blocks or of the whole model.
    case biases(last: Int?)
    /// Tensors by a pattern, or the first input channels of matrices.
    case weights(pattern: String, fraction: Double, last: Int?)
    /// Low-rank adapters beside frozen matrices; every linear layer of a block where no target is
    /// named.
    case adapters(Adapters, targets: [String], last: Int?)

    var isAdapters: Bool { if case .adapters = self { true } else { false } }
  }

  /// What adds up.
  public let terms: [Term]
  /// As written.
  public let description: String

  /// Every tensor.
  public static let full = UpdateScheme(terms: [.full], description: "full")

  /// Whether a term is adapters.
  var hasAdapters: Bool { terms.contains(where: \.isAdapters) }

  /// Rank of its adapters, nil where it has none.
  public var rank: Int? {
    for case .adapters(let adapters, _, _) in terms { return adapters.rank }
    return nil
  }

  /// The scheme with adapters of another rank, whose product is scaled alike.
  public func withRank(_ rank: Int) -> UpdateScheme {
    let changed = terms.map { term in
      guard case .adapters(let adapters, let targets, let last) = term else { return term }
      let alpha = adapters.alpha * Float(rank) / Float(adapters.rank)
      return .adapters(Adapters(rank: rank, alpha: alpha), targets: targets, last: last)
    }
    return UpdateScheme(terms: changed, description: description)
  }

  private init(terms: [Term], description: String) {
    self.terms = terms
    self.description = description
  }

  /// Reads a scheme.
  ///
  /// - Throws: `FineTuningError.scheme` with what was expected where.
  public init(_ text: String) throws(FineTuningError) {
    var terms: [Term] = []
    for part in text.split(separator: "+", omittingEmptySubsequences: false) {
      terms.append(try Self.term(String(part), of: text))
    }
    guard terms.count(where: \.isAdapters) <= 1 else {
      throw .scheme(text, reason: "one lora term at most; name all targets in it")
    }
    self.init(terms: terms, description: text)
  }

  private static func term(_ part: String, of text: String) throws(FineTuningError) -> Term {
    let halves = part.split(separator: ":", maxSplits: 1).map(String.init)
    guard let kind = halves.first else {
      throw .scheme(text, reason: "nothing between two +")
    }
    var options = SchemeOptions(kind, halves.count > 1 ? halves[1] : "", scheme: text)
    let term: Term
    switch kind {
    case "full": term = .full
    case "head": term = .head
    case "blocks":
      guard let last = try options.count("last") else {
        throw .scheme(text, reason: "blocks needs last=K")
      }
      term = .blocks(last: last)
    case "bias", "biases": term = .biases(last: try options.count("last"))
    case "weights":
      term = .weights(
        pattern: try options.word(),
        fraction: try options.fraction("fraction") ?? 1,
        last: try options.count("last")
      )
    case "lora":
      guard let rank = try options.count("rank") else {
        throw .scheme(text, reason: "lora needs rank=R")
      }
      let alpha = try options.number("alpha") ?? Double(rank)
      let targets = options.text("targets")?.split(separator: "/").map(String.init) ?? []
      term = .adapters(
        Adapters(rank: rank, alpha: Float(alpha)),
        targets: targets,
        last: try options.count("last")
      )
    default:
      throw .scheme(
        text,
        reason: "\(kind) is none of full, head, blocks, bias, weights and lora"
      )
    }
    try options.finish()
    return term
  }
}

/// What follows the colon of a term: a word, then `key=value` by commas.
private struct SchemeOptions {
  private let kind: String
  private let scheme: String
  private var words: [String] = []
  private var values: [String: String] = [:]

  init(_ kind: String, _ text: String, scheme: String) {
    self.kind = kind
    self.scheme = scheme
    for item in text.split(separator: ",") {
      let pair = item.split(separator: "=", maxSplits: 1).map(String.init)
      if pair.count == 2 { values[pair[0]] = pair[1] } else { words.append(String(item)) }
    }
  }

  mutating func word() throws(FineTuningError) -> String {
    guard !words.isEmpty else { throw .scheme(scheme, reason: "\(kind) needs a pattern") }
    return words.removeFirst()
  }

  mutating func text(_ key: String) -> String? { values.removeValue(forKey: key) }

  mutating func count(_ key: String) throws(FineTuningError) -> Int? {
    guard let text = text(key) else { return nil }
    guard let count = Int(text), count > 0, count < 1 << 20 else {
      throw .scheme(scheme, reason: "\(key)=\(text) is no number above zero")
    }
    return count
  }

  mutating func number(_ key: String) throws(FineTuningError) -> Double? {
    guard let text = text(key) else { return nil }
    guard let number = Double(text), number > 0, number.isFinite else {
      throw .scheme(scheme, reason: "\(key)=\(text) is no number above zero")
    }
    return number
  }

  mutating func fraction(_ key: String) throws(FineTuningError) -> Double? {
    guard let text = text(key) else { return nil }
    let parts = text.split(separator: "/").map { Double($0) }
    let made: Double? =
      switch parts.count {
      case 1: parts[0]
      case 2: parts[0].flatMap { over in parts[1].map { over / $0 } }
      default: nil
      }
    guard let made, made > 0, made <= 1 else {
      throw .scheme(scheme, reason: "\(key)=\(text) is no fraction above 0 and up to 1")
    }
    return made
  }

  func finish() throws(FineTuningError) {
    guard let stranger = words.first ?? values.keys.sorted().first else { return }
    throw .scheme(scheme, reason: "\(kind) has no option \(stranger)")
  }
}
