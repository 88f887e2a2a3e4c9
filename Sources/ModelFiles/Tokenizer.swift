// Apache-2.0.

/// Turns text into the ids of a model's vocabulary and back, as the file it was loaded from says.
public protocol Tokenizer: Sendable {
  /// Ids from 0 up to this number, added tokens counted.
  var vocabularyCount: Int { get }

  /// Ids of the tokens that are marks rather than text, ascending.
  var specialTokens: [Int32] { get }

  /// The id of a token spelled exactly so, special ones included; nil where there is none.
  func id(of token: String) -> Int32?

  /// The spelling of a token in the vocabulary; nil for an id that has none.
  func token(of id: Int32) -> String?

  /// The ids of a text.
  ///
  /// - Parameter addSpecialTokens: also put the marks around it that the file's template says.
  func encode(_ text: String, addSpecialTokens: Bool) -> [Int32]

  /// The text of ids; ids without a token are passed over.
  ///
  /// - Parameter skipSpecialTokens: leave out the marks.
  func decode(_ ids: [Int32], skipSpecialTokens: Bool) -> String
}
