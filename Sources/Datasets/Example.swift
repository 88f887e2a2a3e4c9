// Apache-2.0.
public import Codecs

/// One example: tokens and which of them the loss counts, or values and their class.
public struct Example: Sendable, Hashable {
  /// Token ids, special ones included; none of an example of values.
  public let tokens: [Int32]
  /// Features, or pixels row by row with the channels of a pixel side by side; none of a text.
  public let values: [Float]
  /// What names the values, where there are any: their SHA-256 as little-endian binary32.
  public let valuesDigest: Digest?
  /// Of language modeling: the token where the loss counts its prediction, `masked` elsewhere.
  ///
  /// As long as `tokens` and aligned with them: position i holds token i, and is predicted at i − 1.
  public let labels: [Int32]
  /// Of classification: the class; nil where it is not known.
  public let classIndex: Int32?

  /// What marks a position that the loss does not count.
  public static let masked: Int32 = -100

  /// An example; `labels` are as long as `tokens`.
  public init(tokens: [Int32], labels: [Int32], classIndex: Int32? = nil) {
    precondition(tokens.count == labels.count, "\(labels.count) labels, \(tokens.count) tokens")
    self.tokens = tokens
    self.labels = labels
    self.classIndex = classIndex
    values = []
    valuesDigest = nil
  }

  /// An example of finite values.
  public init(values: [Float], classIndex: Int32?) {
    self.values = values
    self.classIndex = classIndex
    tokens = []
    labels = []
    var bytes = [UInt8](repeating: 0, count: 4 * values.count)
    for (index, value) in values.enumerated() {
      let bits = value.bitPattern
      for byte in 0..<4 { bytes[4 * index + byte] = UInt8(truncatingIfNeeded: bits >> (8 * byte)) }
    }
    valuesDigest = .sha256(of: bytes)
  }

  /// Whether both have the same content; values are told apart by their digest.
  public static func == (one: Example, other: Example) -> Bool {
    one.tokens == other.tokens && one.labels == other.labels && one.classIndex == other.classIndex
      && one.valuesDigest == other.valuesDigest
  }

  /// Hashes what equality compares.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(tokens)
    hasher.combine(labels)
    hasher.combine(classIndex)
    hasher.combine(valuesDigest)
  }
}

/// A row of a data file that gave no example.
public struct SkippedRow: Sendable, Hashable {
  /// Line of the file, from 1.
  public let line: Int
  /// Why; within a folder the file's name comes first.
  public let reason: String

  /// A row.
  public init(line: Int, reason: String) {
    self.line = line
    self.reason = reason
  }
}

extension [SkippedRow] {
  /// One line for people: how many rows were skipped, and the first few with their lines.
  public func summary(first count: Int = 3) -> String {
    let shown = prefix(count).map { "line \($0.line): \($0.reason)" }.joined(separator: "; ")
    let rest = self.count > count ? "; …" : ""
    return "\(self.count) \(self.count == 1 ? "row" : "rows") skipped (\(shown)\(rest))"
  }
}

/// The examples of one client, or of an evaluation.
public struct Dataset: Sendable {
  /// The examples in the order of the file.
  public let examples: [Example]
  /// Rows that gave none.
  public let skipped: [SkippedRow]
  /// What the field asked for says of each example; empty where none was asked for.
  public let groups: [String]

  /// A set of examples.
  public init(examples: [Example], skipped: [SkippedRow] = [], groups: [String] = []) {
    precondition(groups.isEmpty || groups.count == examples.count, "one group an example")
    self.examples = examples
    self.skipped = skipped
    self.groups = groups
  }

  /// The examples of one client of a partition, in the order of `indices`.
  public func subset(_ indices: [Int]) -> Dataset {
    Dataset(
      examples: indices.map { examples[$0] },
      groups: groups.isEmpty ? [] : indices.map { groups[$0] }
    )
  }

  /// Bytes of tokens, labels and values held, with what an array costs each.
  public var byteCount: Int {
    examples.reduce(0) { $0 + 4 * ($1.tokens.count + $1.labels.count + $1.values.count) + 2 * 32 }
  }

  /// One line for people: examples, tokens or values, rows skipped.
  public var summary: String {
    let tokens = examples.reduce(0) { $0 + $1.tokens.count }
    let width = examples.first?.values.count ?? 0
    let base =
      "\(examples.count) examples" + (width > 0 ? " of \(width) values" : ", \(tokens) tokens")
    return skipped.isEmpty ? base : "\(base); \(skipped.summary())"
  }
}
