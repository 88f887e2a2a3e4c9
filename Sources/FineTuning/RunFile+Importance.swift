// Apache-2.0.
import Codecs
import Datasets
import FederatedCore
import Models

/// The object `importance` of a run file: which matrices get adapters is measured before the run.
///
///     importance: {data: "public.jsonl", weights: 6, steps: 20, batch_size: 8, learning_rate: 1e-3}
///
/// What is submitted has the matrices in its `scheme` and no such object.
struct ImportanceSection {
  static let key = "importance"
  private static let keys = ["data", "weights", "steps", "batch_size", "learning_rate"]

  private let data: String
  private let settings: ImportantWeights.Settings

  /// Reads the object.
  ///
  /// - Parameter run: the run without it.
  init(_ json: JSONValue, _ run: RunConfiguration) throws {
    let field = JSONField(json, path: Self.key)
    guard case .object(let members) = json else {
      throw FederationError.configuration(path: Self.key, advice: "must be an object")
    }
    for member in members where !Self.keys.contains(member.key) {
      throw FederationError.configuration(
        path: "\(Self.key).\(member.key)",
        advice: "no such key; there are \(Self.keys.joined(separator: ", "))"
      )
    }
    data = try field["data"].string()
    let rate = field["learning_rate"].isPresent ? try field["learning_rate"].number() : 1e-3
    guard rate > 0, rate <= 1 else {
      throw FederationError.configuration(
        path: "\(Self.key).learning_rate",
        advice: "\(rate) is outside 0...1"
      )
    }
    func integer(_ key: String, _ bounds: ClosedRange<Int>, _ standard: Int) throws -> Int {
      field[key].isPresent ? try field[key].integer(in: bounds) : standard
    }
    settings = ImportantWeights.Settings(
      count: try field["weights"].integer(in: 1...4096),
      steps: try integer("steps", 2...4096, 20),
      rate: Float(rate),
      batchSize: try integer("batch_size", 1...4096, run.data.batchSize),
      seed: run.runKey
    )
  }

  /// The scheme of the run with adapters beside the most important matrices.
  ///
  /// - Parameters:
  ///   - run: the run without the object, its paths resolved.
  ///   - folder: that relative paths begin in.
  ///   - note: told of every matrix and its importance.
  func scheme(
    _ run: RunConfiguration,
    folder: String,
    note: (String) -> Void
  ) throws -> String {
    guard let text = run.scheme else {
      throw FederationError.configuration(
        path: Self.key,
        advice: "chooses matrices for adapters; write scheme: \"lora:rank=8\""
      )
    }
    let scheme = try UpdateScheme(text)
    let model = try LoadedModel(try ModelRequest(run).withFilledAdapters())
    let path = data.hasPrefix("/") ? data : "\(folder)/\(data)"
    let reader = try DatasetReader(
      run,
      tokenizer: try model.dataTokenizer(),
      images: try model.imageInput()
    )
    let examples = try reader.read(path: path).examples
    // One thread: threads change no bit of a step, and the file may be read anywhere.
    let found = try ImportantWeights(model, threads: 1).measure(examples, settings)
    guard settings.count <= found.count else {
      throw FederationError.configuration(
        path: "\(Self.key).weights",
        advice: "\(settings.count) of \(found.count) matrices; lower it, or leave the object out"
      )
    }
    for (place, item) in found.enumerated() {
      let mark = place < settings.count ? "adapter" : "none"
      note("importance \(item.sensitivity) \(item.module): \(mark)")
    }
    return try scheme.targeting(found.prefix(settings.count).map(\.module).sorted()).description
  }
}

extension ModelRequest {
  /// The request with rows of a new A that can learn.
  fileprivate func withFilledAdapters() -> ModelRequest {
    ModelRequest(
      directory: directory,
      head: head,
      trainable: trainable,
      scheme: scheme,
      headSeed: headSeed,
      featureBytes: featureBytes,
      frozen: frozen
    )
  }
}
