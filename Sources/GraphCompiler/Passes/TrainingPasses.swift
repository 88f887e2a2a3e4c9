// Apache-2.0.

/// Which transformations of a training graph are done; none changes a result.
public struct TrainingPasses: OptionSet, Sendable, Hashable {
  /// One bit a pass.
  public let rawValue: Int

  /// Passes by their bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// Weights change as soon as their gradients are there.
  public static let earlyUpdates = TrainingPasses(rawValue: 1)
  /// None.
  public static let none: TrainingPasses = []
  /// Every one.
  public static let all = TrainingPasses(each)
  /// One by one.
  public static let each: [TrainingPasses] = [.earlyUpdates]
}

extension Graph {
  /// The same graph after passes.
  func optimized(_ passes: TrainingPasses) -> Graph {
    var graph = self
    if passes.contains(.earlyUpdates) { graph = graph.withEarlyUpdates() }
    return graph
  }
}
