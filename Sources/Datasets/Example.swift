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
  /// Why.
  public let reason: String

  /// A row.
  public init(line: Int, reason: String) {
    self.line = line
    self.reason = reason
  }
}

/// The examples of one client, or of an evaluation.
public struct Dataset: Sendable {
  /// The examples in the order of the file.
  public let examples: [Example]
  /// Rows that gave none.
  public let skipped: [SkippedRow]

  /// A set of examples.
  public init(examples: [Example], skipped: [SkippedRow] = []) {
    self.examples = examples
    self.skipped = skipped
  }
}
