// Apache-2.0.

/// Which transformations of a training graph are done; none changes a result.
public struct TrainingPasses: OptionSet, Sendable, Hashable {
  /// One bit a pass.
  public let rawValue: Int

  /// Passes by their bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// Weights change as soon as their gradients are there.
  public static let earlyUpdates = TrainingPasses(rawValue: 1)
  /// Derivatives of activations are taken where gradients are made.
  public static let fusedActivations = TrainingPasses(rawValue: 2)
  /// Cheap results are made again instead of kept.
  public static let recomputation = TrainingPasses(rawValue: 4)
  /// Weights follow gradients that are never stored.
  public static let fusedUpdates = TrainingPasses(rawValue: 8)
  /// None.
  public static let none: TrainingPasses = []
  /// Every one.
  public static let all = TrainingPasses(each)
  /// One by one.
  public static let each: [TrainingPasses] = [
    .earlyUpdates, .fusedActivations, .recomputation, .fusedUpdates,
  ]
}

extension Graph {
  /// The same graph after passes.
  func optimized(_ passes: TrainingPasses) -> Graph {
    var graph = self
    if passes.contains(.fusedActivations) { graph = graph.withFusedActivations() }
    if passes.contains(.recomputation) { graph = graph.withCheapRecomputation() }
    if passes.contains(.earlyUpdates) { graph = graph.withEarlyUpdates() }
    if passes.contains(.fusedUpdates) { graph = graph.withFusedUpdates() }
    return graph.withoutDeadNodes()
  }
}
