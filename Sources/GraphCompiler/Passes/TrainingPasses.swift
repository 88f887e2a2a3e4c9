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
  /// Of results that only gradients of parts of matrices read, those parts are kept.
  public static let slices = TrainingPasses(rawValue: 16)
  /// Frozen matrices are packed once, for 4 to 6 bytes an element and purpose.
  public static let packedWeights = TrainingPasses(rawValue: 32)
  /// None.
  public static let none: TrainingPasses = []
  /// Every one that costs no memory.
  public static let all = TrainingPasses(each).subtracting(.packedWeights)
  /// One by one.
  public static let each: [TrainingPasses] = [
    .earlyUpdates, .fusedActivations, .recomputation, .fusedUpdates, .slices, .packedWeights,
  ]
}

extension Graph {
  /// The same graph after passes; `arenaBudget` as in `TrainingGraph`.
  func optimized(_ passes: TrainingPasses, arenaBudget: Int? = nil) -> Graph {
    let graph = passes.contains(.fusedActivations) ? withFusedActivations() : self
    let chosen = passes.contains(.recomputation) ? graph.cheapRecomputations() : []
    func rest(_ graph: Graph) -> Graph {
      let sliced = passes.contains(.slices) ? graph.withSlices() : graph
      let early = passes.contains(.earlyUpdates) ? sliced.withEarlyUpdates() : sliced
      return passes.contains(.fusedUpdates) ? early.withFusedUpdates() : early
    }
    guard let arenaBudget else { return rest(graph.recomputing(chosen)).withoutDeadNodes() }
    return graph.recomputing(chosen, toFit: arenaBudget, then: rest).withoutDeadNodes()
  }
}
