// Apache-2.0.

/// What each part of a model is worth: how much lower the held-out loss is, or how much higher the
/// accuracy, when it learns too.
///
/// The parts are measured one by one and added up, as in "On-Device Training Under 256KB Memory"
/// (Lin et al., 2022).
public struct Contributions: Sendable, Equatable {
  /// Of the biases of the last k blocks, at place k; of none zero.
  public var biases: [Double]
  /// Of each matrix at each of its ratios, beside the biases down to its block.
  public var weights: [[Double]]

  /// Contributions, by the parts' order.
  public init(biases: [Double], weights: [[Double]]) {
    self.biases = biases
    self.weights = weights
  }

  /// The sum over the parts of a choice.
  public func gain(_ choice: SchemeParts.Choice) -> Double {
    var sum = biases[choice.depth]
    for (gains, level) in zip(weights, choice.levels) where level > 0 { sum += gains[level - 1] }
    return sum
  }

  /// Measures every part.
  ///
  /// - Parameters:
  ///   - score: how good the model is under a choice after a short training: higher is better.
  ///   - progress: called after each measurement with how many are done, of how many.
  /// - Returns: the contributions, and the score of the head alone.
  public static func measured(
    _ parts: SchemeParts,
    score: (SchemeParts.Choice) throws -> Double,
    progress: (_ done: Int, _ count: Int) -> Void = { _, _ in }
  ) throws -> (contributions: Contributions, base: Double) {
    let count = 1 + parts.biasDepth + parts.matrices.reduce(0) { $0 + $1.ratios.count }
    var done = 0
    func measured(_ choice: SchemeParts.Choice) throws -> Double {
      let value = try score(choice)
      done += 1
      progress(done, count)
      return value
    }
    let base = try measured(parts.none)
    var biases = [0.0]
    for depth in 0..<parts.biasDepth {
      var choice = parts.none
      choice.depth = depth + 1
      biases.append(try measured(choice) - base)
    }
    var weights: [[Double]] = []
    for (index, matrix) in parts.matrices.enumerated() {
      var gains: [Double] = []
      for level in 1...matrix.ratios.count {
        var choice = parts.none
        choice.levels[index] = level
        choice = parts.completed(choice)
        gains.append(try measured(choice) - base - biases[choice.depth])
      }
      weights.append(gains)
    }
    return (Contributions(biases: biases, weights: weights), base)
  }
}
