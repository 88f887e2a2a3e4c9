// Apache-2.0.
import Tensors

/// A training step as one graph: forward, loss, backward, and what becomes of the gradients.
///
/// Beside the inputs of the forward graph it has `loss_gradients`, what each element of the loss
/// counts (1/n each for a mean of n), and `schedule` (`Optimizer.schedule`) where weights are updated.
public struct TrainingGraph: Sendable {
  /// What becomes of the gradients.
  public enum Ending: Sendable, Hashable {
    /// They are outputs, `gradient.NAME`.
    case gradients
    /// They are added to states, which `TrainingGraph.updates` reads.
    case accumulation
    /// Weights follow them at once.
    case update(Optimizer, clipping: Clipping = .none)
  }

  /// The step.
  public let graph: Graph
  /// Parameters that train, of those the loss depends on.
  public let trainable: [Parameter]
  /// Floating-point operations of the forward half before it was differentiated.
  public let forwardFlops: Int

  /// Name of the input that holds what each element of the loss counts.
  public static let lossGradients = Differentiation.seed
  /// Name of the input that holds what changes from step to step.
  public static let schedule = "schedule"

  /// Differentiates the output `loss` of `forward`.
  ///
  /// - Parameters:
  ///   - columns: matrices of which only so many of the first input channels train.
  ///   - arenaBudget: bytes that values may take; where they take more, results of the forward half
  ///     are made again instead of kept, those that save most bytes an operation first.
  /// - Throws: `GraphError.noGradient` where a gradient cannot pass, `unknownValue` for the loss.
  public init(
    _ forward: Graph,
    loss: String = "losses",
    isTrainable: (String) -> Bool,
    columns: [String: Int] = [:],
    ending: Ending,
    passes: TrainingPasses = .all,
    arenaBudget: Int? = nil
  ) throws(GraphError) {
    forwardFlops = forward.flops
    let moving = forward.moving(isTrainable)
    let apart = forward.withProductsByParts().activationsApart {
      $0.outputs.contains(where: moving.contains)
    }
    let made = try Differentiation(apart, of: loss, isTrainable: isTrainable, columns: columns)
    var builder = made.builder
    var outputs = made.outputs
    let gradients = made.gradients.sorted { $0.key.index < $1.key.index }
    switch ending {
    case .gradients:
      outputs += gradients.map { ("gradient.\(builder.name(of: $0.key))", $0.value) }
    case .accumulation:
      for (parameter, gradient) in gradients {
        let name = "sum.\(builder.name(of: parameter))"
        let state = builder.state(name, builder.type(of: gradient))
        _ = try builder.apply(Accumulate(), [state, gradient])
      }
    case .update(let optimizer, let clipping):
      try builder.update(gradients.map { ($0.key, $0.value) }, optimizer, clipping)
    }
    let finished = builder.finish(outputs: outputs)
    trainable = gradients.map { finished.parameters[$0.key.index] }
    let optimized = finished.withoutDeadNodes().optimized(passes, arenaBudget: arenaBudget)
    graph =
      passes.contains(.packedWeights)
      ? optimized.withPackedWeights(isTrainable: isTrainable) : optimized
  }

  /// The graph that moves `parameters` along the gradients a step of `accumulation` left in states,
  /// and clears those.
  public static func updates(
    _ parameters: [Parameter],
    columns: [String: Int] = [:],
    _ optimizer: Optimizer,
    clipping: Clipping
  ) throws(GraphError) -> Graph {
    var builder = GraphBuilder()
    var gradients: [(parameter: ParameterID, gradient: ValueID)] = []
    for parameter in parameters {
      let type =
        columns[parameter.name].map { ValueType([parameter.shape.rows, $0]) }
        ?? ValueType(parameter.shape)
      gradients.append(
        (
          try builder.parameter(parameter.name, parameter.shape),
          builder.state("sum.\(parameter.name)", type)
        )
      )
    }
    try builder.update(gradients, optimizer, clipping)
    for (_, gradient) in gradients { _ = try builder.apply(Clear(), [gradient]) }
    return builder.finish(outputs: [])
  }
}

extension GraphBuilder {
  /// Appends what moves parameters along their gradients.
  fileprivate mutating func update(
    _ gradients: [(parameter: ParameterID, gradient: ValueID)],
    _ optimizer: Optimizer,
    _ clipping: Clipping
  ) throws(GraphError) {
    guard !gradients.isEmpty else { return }
    let schedule = input(TrainingGraph.schedule, ValueType([Optimizer.scheduleCount]))
    var scale: ValueID?
    if case .global(let norm) = clipping {
      scale = try apply(ClipScale(maximumNorm: norm), [schedule] + gradients.map(\.gradient))[0]
    }
    var previous: [ValueID] = []
    if case .delta(let gamma, let delta) = optimizer {
      guard clipping == .none else {
        throw .mismatch(operation: DeltaStep.name, expected: "gradients that are not clipped")
      }
      previous = gradients.map {
        state("previous.\(name(of: $0.parameter))", type(of: $0.gradient))
      }
      let sizes = state("delta", ValueType([DeltaStep.stateCount]))
      scale = try apply(
        DeltaStep(gamma: gamma, delta: delta, count: gradients.count),
        [schedule, sizes] + gradients.map(\.gradient) + previous
      )[0]
    }
    for (parameter, gradient) in gradients {
      if case .perTensor(let norm) = clipping {
        scale = try apply(ClipScale(maximumNorm: norm), [schedule, gradient])[0]
      }
      let type = type(of: gradient)
      let states = ["momentum", "variance"].prefix(optimizer.stateCount).map {
        state("\($0).\(name(of: parameter))", type)
      }
      _ = try apply(
        Update(optimizer: optimizer, isScaled: scale != nil),
        [gradient, schedule] + (scale.map { [$0] } ?? []) + states,
        [parameter]
      )
    }
    for (before, (_, gradient)) in zip(previous, gradients) {
      _ = try apply(Accumulate(replaces: true), [before, gradient])
    }
  }
}
