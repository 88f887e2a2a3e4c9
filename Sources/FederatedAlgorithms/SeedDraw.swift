// Apache-2.0.
import FederatedCore
import SharedRandomness

/// Which seed a client uses at each step of a task: derived by everybody, so no index travels.
///
/// Uniform, or for Pro by inverse of the integer prefix sums of FedKSeed-Pro's probabilities
/// p_k ∝ exp(b_k), b_k the mean |g| scaled to [0, 1].
struct SeedDraw {
  private let key: UInt64
  private let task: LocalTask
  private let count: UInt32
  /// Inclusive prefix sums of the weights, empty for uniform.
  private let prefix: [UInt32]

  init(key: UInt64, task: LocalTask, state: SeedState) {
    self.key = key
    self.task = task
    count = UInt32(state.epochs[0].count)
    prefix = Self.prefixSums(state)
  }

  /// The seed of local step `step`.
  func seed(at step: UInt32) -> UInt32 {
    var stream = RandomStream(
      key: key,
      purpose: .directionDraw,
      round: task.round,
      client: task.client,
      step: step
    )
    guard let total = prefix.last else { return stream.uniform(below: count) }
    let drawn = stream.uniform(below: total)
    var low = 0
    var high = prefix.count - 1
    while low < high {
      let middle = (low + high) / 2
      if prefix[middle] > drawn { high = middle } else { low = middle + 1 }
    }
    return UInt32(low)
  }

  private static func prefixSums(_ state: SeedState) -> [UInt32] {
    let means = state.uses.indices.map { state.meanMagnitude($0) }
    guard let least = means.min(), let most = means.max(), most > least else { return [] }
    var sum: UInt32 = 0
    return means.map { mean in
      // At most 2^16 seeds of weight below 2^14: the sum stays below 2^32.
      sum += Exponential.weights[Int((mean - least) * 64 / (most - least))]
      return sum
    }
  }
}

/// round(4096 · exp(i / 64)) for i = 0...64, stored so that no mathematics library decides a draw.
enum Exponential {
  static let weights: [UInt32] = [
    4096, 4161, 4226, 4293, 4360, 4429, 4499, 4569, 4641, 4714, 4789, 4864,
    4941, 5019, 5098, 5178, 5259, 5342, 5426, 5512, 5599, 5687, 5776, 5867,
    5960, 6053, 6149, 6246, 6344, 6444, 6545, 6648, 6753, 6860, 6968, 7077,
    7189, 7302, 7417, 7534, 7652, 7773, 7895, 8020, 8146, 8274, 8404, 8537,
    8671, 8808, 8946, 9087, 9230, 9376, 9523, 9673, 9826, 9981, 10138, 10297,
    10460, 10624, 10792, 10961, 11134,
  ]
}
