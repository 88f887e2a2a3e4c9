// Apache-2.0.
public import Execution
public import FederatedCore
import GraphCompiler
import Models
import Tensors

/// What a device trains of a run whose devices train as much as they have room for.
public struct DeviceFit: Sendable, Hashable {
  /// Ranks of the adapters.
  public let rank: Int
  /// How matrices that cannot change are held.
  public let frozen: FrozenWeights
  /// Examples of a batch at most.
  public let batchSize: Int

  /// A fit.
  public init(rank: Int, frozen: FrozenWeights, batchSize: Int) {
    self.rank = rank
    self.frozen = frozen
    self.batchSize = batchSize
  }
}

/// Finds what a device can train by planning its steps; nothing is run.
///
/// What is counted, in bytes: the plan of a step (arena, states, scratch and stacks), frozen tensors
/// as they are held, mapped or not, trainable weights three times (base, version and moving ones), and
/// the integers of a version and of its change at the rank of the run.
public struct DevicePlanner {
  private struct Step: Hashable {
    let rank: Int
    let batchSize: Int
  }

  private let model: LoadedModel
  private let scheme: UpdateScheme
  private let needs: DeviceNeeds
  private let widths: [FrozenWeights]
  private let rank: Int
  private let batchSize: Int
  private let positions: Int
  private let threads: Int
  private var planned: [Step: Int] = [:]

  /// A planner for the devices of a run.
  ///
  /// - Parameters:
  ///   - model: the run's, with all ranks.
  ///   - needs: those of its algorithm.
  ///   - positions: of the longest rows, padding included.
  ///   - threads: of a device.
  /// - Throws: `FineTuningError.scheme` where the run has no adapters.
  public init(
    _ model: LoadedModel,
    _ run: RunConfiguration,
    needs: DeviceNeeds,
    positions: Int,
    threads: Int
  ) throws(FineTuningError) {
    guard let scheme = model.request.scheme, let rank = scheme.rank else {
      throw .scheme(
        run.scheme ?? "none",
        reason: "\(run.algorithm.name) trains adapters; write lora:rank=8"
      )
    }
    self.model = model
    self.scheme = scheme
    self.needs = needs
    self.rank = rank
    self.positions = positions
    self.threads = threads
    batchSize = run.data.batchSize
    widths = FrozenWeights(rawValue: run.frozen).map { [$0] } ?? FrozenWeights.allCases
  }

  /// Everything: what a device without a bound trains.
  public var whole: DeviceFit {
    DeviceFit(rank: rank, frozen: widths[0], batchSize: batchSize)
  }

  /// What fits in `memory` bytes.
  ///
  /// All ranks and the whole batch on the widest frozen matrices that leave room for them; else, on the
  /// narrowest, the whole batch and the highest rank; else half of the batch, and so on.
  ///
  /// - Throws: `FineTuningError.execution` where nothing does, with what the least would take.
  public mutating func fit(memory: Int) throws(FineTuningError) -> DeviceFit {
    for frozen in widths {
      let fit = DeviceFit(rank: rank, frozen: frozen, batchSize: batchSize)
      if try bytes(of: fit) <= memory { return fit }
    }
    let narrowest = widths[widths.count - 1]
    var batch = batchSize
    while true {
      let least = DeviceFit(rank: needs.minimumRank, frozen: narrowest, batchSize: batch)
      let bytes = try bytes(of: least)
      if bytes <= memory {
        for rank in (needs.minimumRank + 1..<max(rank, needs.minimumRank) + 1).reversed() {
          let fit = DeviceFit(rank: rank, frozen: narrowest, batchSize: batch)
          if try self.bytes(of: fit) <= memory { return fit }
        }
        return least
      }
      guard batch > 1 else {
        throw .execution(
          "the smallest step of this run, rank \(needs.minimumRank) on batches of one, takes "
            + "\(bytes) bytes of \(memory); give it more memory, shorten data.max_length, or "
            + "lower minimum_rank"
        )
      }
      batch /= 2
    }
  }

  /// Bytes that training a part takes.
  public mutating func bytes(of fit: DeviceFit) throws(FineTuningError) -> Int {
    let step = Step(rank: fit.rank, batchSize: fit.batchSize)
    let found: Int
    if let known = planned[step] {
      found = known
    } else {
      found = try plan(step)
      planned[step] = found
    }
    return found + model.table.frozenBytes(held: fit.frozen) + 8 * model.parameterCount
  }

  /// Bytes of a step by its plan, with the weights that train.
  private func plan(_ step: Step) throws(FineTuningError) -> Int {
    let request = GraphRequest(
      sequences: step.batchSize,
      positions: positions,
      head: model.head,
      hasLoss: true
    )
    let scheme = scheme.withRank(step.rank)
    let graph = try FineTuningError.inModel(model.request.directory) {
      scheme.adapted(try model.family.graph(request))
    }
    let selection = try scheme.selection(graph)
    let optimizer = Optimizer(needs.rule.kind)
    let clipping = needs.rule.clipNorm.map { Clipping.global($0) } ?? .none
    var copies = 3
    var ending = TrainingGraph.Ending.update(optimizer, clipping: clipping)
    if case .delta = optimizer {
      // Gradients are summed apart, and the last ones and their weights are kept.
      (ending, copies) = (.accumulation, 5)
    } else if needs.rule.proximal > 0 {
      (ending, copies) = (.accumulation, 3 + optimizer.stateCount)
    }
    let training = try FineTuningError.inGraph { () throws(GraphError) in
      try TrainingGraph(
        graph,
        isTrainable: selection.contains,
        columns: selection.fractions,
        ending: ending
      )
    }
    let count = graph.parameters.reduce(0) {
      $0 + (selection.contains($1.name) ? $1.shape.elementCount : 0)
    }
    return PlanReport(
      ExecutionPlan(training.graph, threads: threads, keepsInputs: false),
      threads: threads,
      weightBytes: 4 * copies * count
    ).totalBytes
  }
}
