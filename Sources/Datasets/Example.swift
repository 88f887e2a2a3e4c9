// Apache-2.0.

/// One example: tokens, and which of them the loss counts.
public struct Example: Sendable, Hashable {
  /// Token ids, special ones included.
  public let tokens: [Int32]
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

  /// Bytes of tokens and labels held, with what an array costs each.
  public var byteCount: Int {
    examples.reduce(0) { $0 + 4 * ($1.tokens.count + $1.labels.count) + 2 * 32 }
  }

  /// One line for people: examples, tokens, rows skipped.
  public var summary: String {
    let tokens = examples.reduce(0) { $0 + $1.tokens.count }
    let base = "\(examples.count) examples, \(tokens) tokens"
    return skipped.isEmpty ? base : "\(base); \(skipped.summary())"
  }
}
