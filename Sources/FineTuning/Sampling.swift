// Apache-2.0.
import Glibc
import SharedRandomness

/// How the next token is chosen from logits.
public struct Sampling: Sendable, Hashable {
  /// Divides logits; 0 takes the likeliest token.
  public let temperature: Float
  /// Of the likeliest tokens as many as together have this probability (Holtzman et al., 2020).
  public let topP: Float
  /// Of the likeliest tokens at most so many (Fan et al., 2018).
  public let topK: Int
  /// Key of the random numbers.
  public let seed: UInt64

  /// The likeliest token, the first of several.
  public static let greedy = Sampling(temperature: 0)

  /// A way to choose.
  public init(temperature: Float, topP: Float = 1, topK: Int = .max, seed: UInt64 = 0) {
    self.temperature = temperature
    self.topP = topP
    self.topK = topK
    self.seed = seed
  }

  /// Chooses a token.
  ///
  /// - Parameters:
  ///   - logits: of every token, at least one.
  ///   - sequence, step: which choice it is; the same one is made the same way.
  public func choose(_ logits: [Float], sequence: Int, step: Int) -> Int32 {
    let best = logits.indices.reduce(0) { logits[$1] > logits[$0] ? $1 : $0 }
    guard temperature > 0, !logits.isEmpty else { return Int32(best) }
    let order = logits.indices.sorted { (logits[$1], $0) < (logits[$0], $1) }
      .prefix(max(1, topK))
    let weights = order.map { exp(Double(logits[$0] - logits[best]) / Double(temperature)) }
    let bound = Double(topP) * weights.reduce(0, +)
    var (total, count) = (0.0, 0)
    repeat {
      total += weights[count]
      count += 1
    } while count < weights.count && total < bound
    var stream = RandomStream(
      key: seed,
      purpose: .sampling,
      client: UInt32(sequence),
      step: UInt32(step)
    )
    var point = Double(stream.next() >> 11) * 0x1p-53 * total
    for index in 0..<count {
      point -= weights[index]
      if point < 0 { return Int32(order[index]) }
    }
    return Int32(order[count - 1])
  }
}
