// Apache-2.0.
public import Codecs
public import Coordination
import Datasets
public import FederatedCore
public import FineTuning
import ModelFiles
import Tensors

/// A real model shared by all simulated clients, with the examples of one file or folder shared out.
public struct SimulatedModel: SimulatedWork {
  /// The model; its base weights are mapped once for everybody.
  public let model: LoadedModel
  /// Names the base weights.
  public let base: Digest
  /// What was read, for people.
  public let summary: String
  private let all: Dataset
  private let shares: ClientShares
  private let batchSize: Int
  private let heldOut: ClientData?
  private let key: UInt64
  private let isClassifier: Bool
  private let parts: DeviceParts?

  /// Bytes at most of frozen features: all clients' examples share them, and an example that finds no
  /// room costs a pass over the whole model at each visit.
  private static let featureBytes = 512 << 20

  /// The model and data of a run whose paths are resolved.
  ///
  /// - Parameter loaded: the model of another run that asks for the same one, its frozen features with
  ///   it; read anew where nil.
  /// - Throws: `SimulationError`, `FineTuningError` or `DatasetError`.
  public init(_ configuration: RunConfiguration, loaded: LoadedModel? = nil) throws {
    guard let settings = configuration.simulation else {
      throw SimulationError.configuration("the run file has no simulation object")
    }
    model = try loaded ?? LoadedModel(ModelRequest(configuration, featureBytes: Self.featureBytes))
    base = model.baseDigest
    blocks = model.blocks
    key = configuration.runKey
    isClassifier = configuration.labels != nil
    let (tokenizer, images) = (try model.dataTokenizer(), try model.imageInput())
    let samples = settings.partition == "samples"
    let goesByField = !samples && Partition(settings).goesByGroup
    let reader = try DatasetReader(
      configuration,
      tokenizer: tokenizer,
      images: images,
      field: goesByField ? settings.field : nil
    )
    all = try reader.read(path: settings.data)
    parts = try DeviceParts(model, configuration, settings.devices, examples: all.examples)
    batchSize = configuration.data.batchSize
    if samples {
      shares = try ClientShares(
        sampling: settings.samples,
        of: all.examples.count,
        clients: settings.clients,
        key: configuration.runKey
      )
    } else {
      shares = try ClientShares(
        Partition(settings),
        groups: all.groups,
        count: all.examples.count,
        clients: settings.clients,
        key: configuration.runKey
      )
    }
    if let evaluation = configuration.evaluation {
      let reader = try DatasetReader(
        configuration,
        tokenizer: tokenizer,
        images: images,
        limit: evaluation.limit
      )
      heldOut = ClientData(
        try reader.read(path: evaluation.data),
        batchSize: configuration.data.batchSize
      )
    } else {
      heldOut = nil
    }
    summary = all.summary
  }

  /// The trainable tensors in canonical order.
  public let blocks: [ParameterBlock]

  /// Clients.
  public var clientCount: Int { shares.count }

  /// Examples of a client.
  public func exampleCount(of client: Int) -> Int { shares.exampleCount(of: client) }

  /// What a client's device trains; nil where all train alike.
  public func fit(of client: Int) throws -> DeviceFit? { try parts?.fit(of: client) }

  /// Workspaces of one thread.
  public func makeWorker() throws -> SimulatedWorker {
    SimulatedWorker(whole: try TrainerWorkspace(model, team: ThreadTeam(threads: 1)))
  }

  /// Does the local steps of a client's task.
  public func train(
    client: Int,
    _ task: LocalTask,
    from session: any AlgorithmSession,
    memory: [UInt8],
    on worker: inout SimulatedWorker
  ) throws -> LocalResult {
    var (workspace, batch) = (worker.whole, batchSize)
    if let parts {
      let fit = try parts.fit(of: client)
      workspace = try worker.workspace(for: fit, parts)
      batch = task.batchSize == 0 ? fit.batchSize : min(task.batchSize, fit.batchSize)
    }
    let data = ClientData(all.subset(shares.examples(of: client)), batchSize: batch)
    var trainer: any LocalTrainer = ClientTrainer(workspace, data: data, key: key, memory: memory)
    try trainer.load(try session.weightUpdates(for: trainer.blocks))
    return try session.train(task, on: &trainer)
  }

  /// Evaluates a version on the held-out data.
  public func evaluate(
    _ updates: [WeightUpdate],
    on worker: inout SimulatedWorker
  ) throws -> VersionScore {
    guard let heldOut else { throw SimulationError.configuration("no held-out data") }
    let evaluation = try worker.whole.evaluate(updates, on: heldOut)
    return VersionScore(
      loss: evaluation.meanLoss,
      accuracy: isClassifier ? evaluation.accuracy : nil
    )
  }
}

extension Partition {
  /// The partition that a run file names.
  init(_ settings: SimulationSection) {
    switch settings.partition {
    case "dirichlet": self = .dirichlet(alpha: settings.alpha)
    case "field": self = .field
    case "shards": self = .shards(perClient: settings.shardsPerClient)
    case "zipf": self = .zipf(exponent: settings.exponent)
    case "dual-dirichlet": self = .dualDirichlet(sizes: settings.sizeAlpha, alpha: settings.alpha)
    case "classes": self = .classes(least: settings.leastClasses, most: settings.mostClasses)
    default: self = .iid
    }
  }
}
