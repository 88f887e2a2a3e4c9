// Apache-2.0.
import SharedRandomness

/// Which examples form the batches of an epoch: every example once, those of similar length together.
///
/// A random order is cut into windows of some batches; within one, examples are sorted by length, so
/// that little is padding; then the batches of the epoch are put into a random order.
struct BatchOrder {
  /// Tokens of each example.
  let lengths: [Int]
  /// Examples of a batch; the last of an epoch may have fewer.
  let batchSize: Int
  /// Philox key.
  let key: UInt64

  private static let window = 32

  /// Batches of an epoch.
  var count: Int { (lengths.count + batchSize - 1) / batchSize }

  /// The batches of an epoch, which counts below 2^24.
  func batches(epoch: Int) -> [[Int]] {
    var stream = RandomStream(key: key, purpose: .batch, round: UInt32(epoch))
    let order = stream.permutation(of: lengths.count)
    var batches: [[Int]] = []
    for start in stride(from: 0, to: order.count, by: batchSize * Self.window) {
      let window = order[start..<min(order.count, start + batchSize * Self.window)].enumerated()
        .sorted { (lengths[$0.element], $0.offset) < (lengths[$1.element], $1.offset) }
        .map(\.element)
      for first in stride(from: 0, to: window.count, by: batchSize) {
        batches.append(Array(window[first..<min(window.count, first + batchSize)]))
      }
    }
    return stream.permutation(of: batches.count).map { batches[$0] }
  }
}
