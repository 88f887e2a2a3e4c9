// Apache-2.0.
import Execution
public import FederatedCore
import Models

extension ModelRequest {
  /// The model of a run: the same base digest for everybody who has the same files.
  ///
  /// - Parameters:
  ///   - directory: the model's folder here; the run's own path where nil.
  ///   - featureBytes: bytes at most of what the frozen prefix made of examples.
  ///   - fit: what a device trains of it; all where nil.
  /// - Throws: `FineTuningError.scheme` where the run's scheme is none.
  public init(
    _ run: RunConfiguration,
    directory: String? = nil,
    featureBytes: Int = 16 << 20,
    fit: DeviceFit? = nil
  ) throws(FineTuningError) {
    let head: ModelHead =
      switch run.task {
      case .languageModeling: .languageModel
      case .classification(let labels): .classifier(classes: labels.count)
      }
    self.init(
      directory: directory ?? run.model,
      head: head,
      trainable: ParameterSelection(run.scheme == nil ? run.trainable : []),
      scheme: try run.scheme.map { text throws(FineTuningError) in
        let scheme = try UpdateScheme(text)
        return fit.map { scheme.withRank($0.rank) } ?? scheme
      },
      headSeed: run.headSeed,
      featureBytes: featureBytes,
      // Where each device holds them as its memory allows, everybody else has them as stored.
      frozen: fit?.frozen ?? FrozenWeights(rawValue: run.frozen) ?? .stored,
      // Its versions are whole adapters, not what is added to some.
      emptyAdapters: run.algorithm.name == "fedpipe"
    )
  }
}

extension RunConfiguration {
  /// Names of the classes, where the task has classes.
  public var labels: [String]? {
    switch task {
    case .languageModeling: nil
    case .classification(let labels): labels
    }
  }
}
