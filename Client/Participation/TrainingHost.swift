// Apache-2.0.
import Codecs
import Datasets
import Execution
import FederatedAlgorithms
import FederatedCore
import FineTuning
import ModelFiles
import Synchronization
public import Telemetry
import Tensors
public import Transport
import WireProtocol

/// Where a client finds what a run needs.
public struct LocalResources: Sendable {
  /// The model's folder here; nil for the path that the run names, where it exists.
  public let model: String?
  /// File or folder of the client's examples.
  public let data: String
  /// Threads that train.
  public let threads: Int
  /// Bytes there are for training, nil for no bound.
  public let memory: Int?

  /// Resources of a client.
  public init(model: String?, data: String, threads: Int, memory: Int? = nil) {
    self.memory = memory
    self.model = model
    self.data = data
    self.threads = threads
  }
}

/// How far a client has got with a task.
public struct TaskProgress: Sendable, Equatable {
  /// Number of the round, from 1.
  public let round: UInt32
  /// Rounds of the run.
  public let rounds: Int
  /// Local steps done.
  public let done: Int
  /// Local steps of the task.
  public let steps: Int
  /// Mean loss of the steps so far.
  public let loss: Float
}

/// Model and data of the run at work, on a thread of its own: loading and training.
public final class TrainingHost: Sendable {
  private struct Hosted {
    let configuration: RunConfiguration
    let workspace: TrainerWorkspace
    let data: ClientData
    let preparation: Preparation
    var hasToldMemory = false
  }

  // SAFETY: touched on the loop's thread alone.
  private final class State: @unchecked Sendable {
    var hosted: (run: UInt32, Hosted)?
    var team: ThreadTeam?
  }

  /// What frozen layers make of examples is kept up to this, so that the whole stays small.
  private static let featureBytes = 8 << 20

  private let state = State()
  private let loop: EventLoop
  private let resources: LocalResources
  private let log: Log
  private let measurement: DeviceMeasurement
  private let onProgress: @Sendable (TaskProgress) -> Void
  /// Counts cancellations: work begun before the last one stops at its next step.
  private let epoch = Mutex<UInt64>(0)

  /// A host.
  ///
  /// - Parameters:
  ///   - loop: the thread that works; it serves nothing else.
  ///   - now: tells the time that steps are measured by.
  ///   - onProgress: told of every local step, on the host's thread.
  public init(
    _ resources: LocalResources,
    loop: EventLoop,
    log: Log,
    now: @escaping @Sendable () -> Duration,
    onProgress: @escaping @Sendable (TaskProgress) -> Void
  ) {
    self.resources = resources
    self.loop = loop
    self.log = log
    measurement = DeviceMeasurement(now: now)
    self.onProgress = onProgress
  }

  /// Loads model and data of a run in place of those of another, whose training stops.
  func prepare(
    _ run: UInt32,
    _ configuration: RunConfiguration,
    then answer: @escaping @Sendable (Result<Preparation, ParticipationFailure>) -> Void
  ) {
    cancel()
    loop.submit { [self] in
      // The old model goes before the new one comes: there may not be room for both.
      state.hosted = nil
      answer(
        Self.attempt {
          let hosted = try load(configuration)
          state.hosted = (run, hosted)
          return hosted.preparation
        }
      )
    }
  }

  /// Does the local steps of a task in place of one still at work; `answer` is not called where
  /// another task or `cancel` comes first.
  func train(
    _ order: TrainingOrder,
    then answer: @escaping @Sendable (Result<LocalResult, ParticipationFailure>) -> Void
  ) {
    let epoch = epoch.withLock { epoch in
      epoch += 1
      return epoch
    }
    loop.submit { [self] in
      let result = Self.attempt { try steps(of: order, epoch) }
      guard epoch == self.epoch.withLock({ $0 }) else { return }
      answer(result)
      tellMemory()
    }
  }

  /// Stops training at the next step.
  func cancel() { epoch.withLock { $0 += 1 } }

  /// Lets go of model and data; training stops.
  func release() {
    cancel()
    loop.submit { [state] in state.hosted = nil }
  }

  private func steps(of order: TrainingOrder, _ epoch: UInt64) throws -> LocalResult {
    guard let (run, hosted) = state.hosted, run == order.run else {
      throw ParticipationFailure("the model of run \(order.run) is not loaded")
    }
    let batch = order.task.batchSize
    var trainer: any LocalTrainer = ObservedTrainer(
      ClientTrainer(
        hosted.workspace,
        data: batch == 0
          ? hosted.data
          : ClientData(hosted.data.dataset, batchSize: min(batch, hosted.data.batchSize)),
        key: hosted.configuration.runKey,
        memory: order.memory
      )
    ) { [self] done, loss in
      guard epoch == self.epoch.withLock({ $0 }) else { throw CancellationError() }
      onProgress(
        TaskProgress(
          round: order.task.round + 1,
          rounds: hosted.configuration.rounds,
          done: done,
          steps: order.task.steps,
          loss: loss
        )
      )
    }
    try trainer.load(order.session.weightUpdates(for: trainer.blocks))
    return try order.session.train(order.task, on: &trainer)
  }

  private func load(_ configuration: RunConfiguration) throws -> Hosted {
    let directory = resources.model ?? configuration.model
    guard ModelFolder.exists(directory) else {
      throw ParticipationFailure(
        resources.model == nil
          ? "no model: the run's is \(directory), which is not here; start the client with --model"
          : "no model at \(directory)"
      )
    }
    let whole = try LoadedModel(
      ModelRequest(configuration, directory: directory, featureBytes: Self.featureBytes)
    )
    for name in whole.newTensors { log.info("new tensor \(name): the checkpoint lacks it") }
    for name in whole.unusedTensors { log.info("unused tensor \(name)") }
    let reader = try DatasetReader(
      configuration,
      tokenizer: try whole.dataTokenizer(),
      images: try whole.imageInput()
    )
    let dataset = try reader.read(path: resources.data)
    log.info("data \(resources.data): \(dataset.summary)")
    let base = whole.baseDigest
    let needs = try AlgorithmCatalog.start(
      algorithm: configuration.algorithm.json,
      key: configuration.runKey
    ).deviceNeeds
    var fit: DeviceFit?
    var model = whole
    if let needs {
      let found = try self.fit(configuration, whole, dataset, needs)
      fit = found.fit
      let part = try ModelRequest(
        configuration,
        directory: directory,
        featureBytes: found.featureBytes,
        fit: found.fit
      )
      model = try LoadedModel(part)
    }
    let team = state.team ?? ThreadTeam(threads: resources.threads)
    state.team = team
    let workspace = try TrainerWorkspace(model, team: team, perturbs: needs == nil)
    log.info(
      "model \(directory): \(model.parameterCount) parameters train, "
        + "\(mebibytes(model.mappedBytes)) mapped, \(mebibytes(workspace.byteCount)) of weights"
    )
    let data = ClientData(dataset, batchSize: fit?.batchSize ?? configuration.data.batchSize)
    var profile: DeviceProfile?
    if let needs, let fit {
      profile = try measurement.profile(
        of: fit,
        memory: resources.memory,
        rule: needs.rule,
        data: data,
        on: workspace
      )
    }
    return Hosted(
      configuration: configuration,
      workspace: workspace,
      data: data,
      preparation: Preparation(
        base: base,
        examples: dataset.examples.count,
        blocks: whole.blocks,
        device: profile
      )
    )
  }

  /// What this device trains of a run, and what is left for features of frozen layers.
  private func fit(
    _ configuration: RunConfiguration,
    _ whole: LoadedModel,
    _ dataset: Dataset,
    _ needs: DeviceNeeds
  ) throws -> (fit: DeviceFit, featureBytes: Int) {
    var planner = try DevicePlanner(
      whole,
      configuration,
      needs: needs,
      positions: whole.paddedLength(of: dataset.examples),
      threads: resources.threads
    )
    let fit = try resources.memory.map { try planner.fit(memory: $0) } ?? planner.whole
    let bytes = try planner.bytes(of: fit)
    log.info(
      "this device trains rank \(fit.rank) on batches of \(fit.batchSize), frozen matrices "
        + "\(fit.frozen.rawValue): \(mebibytes(bytes)) by the plan"
    )
    return (fit, min(Self.featureBytes, resources.memory.map { max(0, $0 - bytes) } ?? .max))
  }

  /// Says once a run what the first task has made of the memory.
  private func tellMemory() {
    guard let (run, hosted) = state.hosted, !hosted.hasToldMemory else { return }
    state.hosted = (run, hosted)
    state.hosted?.1.hasToldMemory = true
    let model = hosted.workspace.model
    var line = "memory: \(mebibytes(model.mappedBytes)) of the model's file mapped"
    line += " + \(mebibytes(hosted.workspace.byteCount)) weights and plan"
    line += " + \(mebibytes(hosted.data.dataset.byteCount)) examples"
    if hosted.workspace.hoists {
      line += " + \(mebibytes(model.features.byteCount)) features of frozen layers"
    }
    if let peak = ProcessMemory.peak { line += "; peak of the process \(mebibytes(peak))" }
    log.info(line)
  }

  private static func attempt<Value>(
    _ body: () throws -> Value
  ) -> Result<Value, ParticipationFailure> {
    do { return .success(try body()) } catch { return .failure(ParticipationFailure("\(error)")) }
  }
}
