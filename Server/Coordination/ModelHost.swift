// Apache-2.0.
public import Codecs
import Datasets
public import FederatedCore
import FineTuning
import Glibc
import ModelFiles
import Tensors
public import Telemetry
public import Transport

/// The models of the runs at work: loading, evaluating, exporting.
///
/// Each is asked for on the coordination thread, which must not wait: the answer may be given on any
/// thread.
public protocol ModelWork: Sendable {
  /// Loads the model of a run and its held-out data; answers with what was loaded.
  func prepare(
    _ run: UInt32,
    _ configuration: RunConfiguration,
    then answer: @escaping @Sendable (Result<PreparedModel, PreparationFailure>) -> Void
  )

  /// Evaluates a version of a run that is loaded.
  func evaluate(
    _ run: UInt32,
    _ updates: [WeightUpdate],
    then answer: @escaping @Sendable (Result<VersionScore, PreparationFailure>) -> Void
  )

  /// Writes a version of a run as a Hugging Face folder; answers with the folder.
  func export(
    _ configuration: RunConfiguration,
    base: Digest,
    _ updates: [WeightUpdate],
    to directory: String,
    then answer: @escaping @Sendable (Result<String, PreparationFailure>) -> Void
  )
}

/// The models of the runs at work, on a thread of its own.
public final class ModelHost: ModelWork {
  /// A run's model with its held-out data.
  private struct Hosted {
    let configuration: RunConfiguration
    let workspace: TrainerWorkspace
    let heldOut: ClientData?
  }

  // SAFETY: touched on the loop's thread alone.
  private final class State: @unchecked Sendable {
    var hosted: [UInt32: Hosted] = [:]
  }

  private let state = State()
  private let loop: EventLoop
  private let threads: Int
  private let log: Log

  /// A host.
  ///
  /// - Parameters:
  ///   - loop: the thread that works; it serves nothing else.
  ///   - threads: threads of an evaluation.
  public init(loop: EventLoop, threads: Int, log: Log) {
    self.loop = loop
    self.threads = threads
    self.log = log
  }

  /// Loads the model of a run and its held-out data.
  public func prepare(
    _ run: UInt32,
    _ configuration: RunConfiguration,
    then answer: @escaping @Sendable (Result<PreparedModel, PreparationFailure>) -> Void
  ) {
    loop.submit {
      answer(
        Self.attempt {
          let hosted = try self.load(configuration)
          self.state.hosted = [run: hosted]
          let model = hosted.workspace.model
          return PreparedModel(base: model.baseDigest, blocks: model.blocks)
        }
      )
    }
  }

  /// Evaluates a version of a run that is loaded.
  public func evaluate(
    _ run: UInt32,
    _ updates: [WeightUpdate],
    then answer: @escaping @Sendable (Result<VersionScore, PreparationFailure>) -> Void
  ) {
    loop.submit {
      answer(
        Self.attempt {
          guard let hosted = self.state.hosted[run], let heldOut = hosted.heldOut else {
            throw PreparationFailure("run \(run) has no held-out data loaded")
          }
          hosted.workspace.load(updates)
          let evaluation = try hosted.workspace.evaluate(heldOut)
          let isClassifier = hosted.configuration.labels != nil
          return VersionScore(
            loss: evaluation.meanLoss,
            accuracy: isClassifier ? evaluation.accuracy : nil
          )
        }
      )
    }
  }

  /// Writes a version of a run as a Hugging Face folder.
  public func export(
    _ configuration: RunConfiguration,
    base: Digest,
    _ updates: [WeightUpdate],
    to directory: String,
    then answer: @escaping @Sendable (Result<String, PreparationFailure>) -> Void
  ) {
    loop.submit {
      answer(
        Self.attempt {
          let model = try LoadedModel(ModelRequest(configuration))
          guard model.baseDigest == base else {
            throw PreparationFailure(
              "the model in \(configuration.model) has changed since the run began; put it back"
            )
          }
          let workspace = try TrainerWorkspace(model, team: ThreadTeam(threads: self.threads))
          workspace.load(updates)
          try workspace.export(configuration, to: directory)
          return directory
        }
      )
    }
  }

  private func load(_ configuration: RunConfiguration) throws -> Hosted {
    let model = try LoadedModel(ModelRequest(configuration))
    for name in model.newTensors { log.info("new tensor \(name): the checkpoint lacks it") }
    log.info(
      "model \(configuration.model): \(model.parameterCount) parameters train, "
        + "\(model.mappedBytes) bytes mapped"
    )
    let workspace = try TrainerWorkspace(model, team: ThreadTeam(threads: threads))
    guard let evaluation = configuration.evaluation else {
      return Hosted(configuration: configuration, workspace: workspace, heldOut: nil)
    }
    let reader = try DatasetReader(
      tokenizer: try model.dataTokenizer(),
      images: try model.imageInput(),
      format: configuration.data.format,
      template: configuration.data.template,
      maximumLength: configuration.data.maximumLength,
      labels: configuration.labels,
      limit: evaluation.limit
    )
    let dataset = try reader.read(path: evaluation.data)
    log.info("held-out data \(evaluation.data): \(dataset.summary)")
    return Hosted(
      configuration: configuration,
      workspace: workspace,
      heldOut: ClientData(dataset, batchSize: configuration.data.batchSize)
    )
  }

  private static func attempt<Value>(
    _ body: () throws -> Value
  ) -> Result<Value, PreparationFailure> {
    do { return .success(try body()) } catch { return .failure(PreparationFailure("\(error)")) }
  }
}
