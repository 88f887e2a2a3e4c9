// Apache-2.0.

/// What a model is tuned for.
public enum ModelTask: Sendable, Equatable {
  /// The next token, mean cross-entropy over the tokens that count.
  case languageModeling
  /// One of some labels, in the order of the model's outputs.
  case classification(labels: [String])
}
