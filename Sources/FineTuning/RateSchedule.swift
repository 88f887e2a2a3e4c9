// Apache-2.0.
import Glibc

/// The step size by the number of the step.
public struct RateSchedule: Sendable, Hashable {
  /// What follows the warm-up.
  public enum Shape: String, Sendable, CaseIterable {
    /// The same to the end.
    case constant
    /// Down to zero after the last step in a straight line.
    case linear
    /// Down to zero after the last step along half a cosine (Loshchilov and Hutter, 2017).
    case cosine
  }

  /// The greatest step size.
  public let peak: Float
  /// What follows the warm-up.
  public let shape: Shape
  /// Steps of a straight rise to the peak.
  public let warmup: Int
  /// Steps of the whole training.
  public let steps: Int

  /// A schedule.
  public init(peak: Float, shape: Shape = .constant, warmup: Int = 0, steps: Int = 0) {
    self.peak = peak
    self.shape = shape
    self.warmup = warmup
    self.steps = steps
  }

  /// The size of a step, the first of which is 1.
  public func rate(of step: Int) -> Float {
    guard step > warmup else { return peak * Float(step) / Float(warmup) }
    let done = Double(step - 1 - warmup) / Double(max(1, steps - warmup))
    switch shape {
    case .constant: return peak
    case .linear: return peak * Float(max(0, 1 - done))
    case .cosine: return peak * Float(0.5 * (1 + cos(.pi * min(1, done))))
    }
  }
}
