// Apache-2.0.
import Codecs
import Datasets
import Synchronization

/// What the frozen prefix of a model made of examples, kept up to a number of bytes.
///
/// Examples are named by their tokens or by the digest of their values, so everybody who works with the model shares one cache, and
/// an example that several clients or an evaluation hold is computed once. What comes when the cache
/// is full is computed again at each visit, to the same bits.
public final class FeatureCache: Sendable {
  private struct Key: Hashable {
    let tokens: [Int32]
    let values: Digest?

    init(_ example: Example) {
      tokens = example.tokens
      values = example.valuesDigest
    }
  }

  private struct Contents {
    var features: [Key: [Float]] = [:]
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
  subscript(example: Example) -> [Float]? { contents.withLock { $0.features[Key(example)] } }

  /// Keeps the boundary values of an example where there is room.
  func keep(_ features: [Float], of example: Example) {
    let key = Key(example)
    let bytes = 4 * (features.count + key.tokens.count) + 128
    contents.withLock { contents in
      guard contents.byteCount + bytes <= limit, contents.features[key] == nil else { return }
      contents.byteCount += bytes
      contents.features[key] = features
    }
  }
}
