// Apache-2.0.
import Synchronization

/// What the frozen prefix of a model made of examples, kept up to a number of bytes.
///
/// Examples are named by their tokens, so everybody who works with the model shares one cache, and
/// an example that several clients or an evaluation hold is computed once. What comes when the cache
/// is full is computed again at each visit, to the same bits.
public final class FeatureCache: Sendable {
  private struct Contents {
    var features: [[Int32]: [Float]] = [:]
    var byteCount = 0
  }

  private let contents = Mutex(Contents())
  /// Bytes of features held at most.
  public let limit: Int

  /// A cache of at most `limit` bytes.
  public init(limit: Int) { self.limit = limit }

  /// Bytes held.
  public var byteCount: Int { contents.withLock { $0.byteCount } }

  /// The boundary values of an example, one after the other; nil where they are not kept.
  subscript(tokens: [Int32]) -> [Float]? { contents.withLock { $0.features[tokens] } }

  /// Keeps the boundary values of an example where there is room.
  func keep(_ features: [Float], of tokens: [Int32]) {
    let bytes = 4 * (features.count + tokens.count) + 128
    contents.withLock { contents in
      guard contents.byteCount + bytes <= limit, contents.features[tokens] == nil else { return }
      contents.byteCount += bytes
      contents.features[tokens] = features
    }
  }
}
