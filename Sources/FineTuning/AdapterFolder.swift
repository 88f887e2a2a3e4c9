// Apache-2.0.
import Codecs
import GraphCompiler
import ModelFiles
import Models

/// A folder that PEFT or `fedclient train` wrote: adapters of low rank beside the matrices of a base
/// model, and modules that were trained whole.
struct AdapterFolder: Sendable {
  /// Rank and scale, the same of every matrix.
  let adapters: Adapters
  /// The tensors under the names in the file.
  let weights: Checkpoint
  /// Names of the classes of a head that was trained with it.
  let labels: [String]?
  /// The names in the file by those of the base model's export.
  private let names: [String: String]

  /// Reads a folder.
  ///
  /// - Throws: `FineTuningError.model` where it is no adapter, or one of a kind that computes
  ///   something else than LoRA.
  init(directory: String) throws(FineTuningError) {
    let made = try FineTuningError.inModel(directory) {
      guard ModelFolder.exists("\(directory)/adapter_config.json") else {
        throw FineTuningError.model(
          directory: directory,
          reason: "no adapter_config.json: expected a folder that PEFT or fedclient train wrote"
        )
      }
      let json = try ModelFolder.json("\(directory)/adapter_config.json")
      let weights = try Checkpoint(directory: directory, fileName: "adapter_model.safetensors")
      return (try Self.adapters(json), weights, try Self.labels(directory))
    }
    (adapters, weights, labels) = made
    names = Dictionary(
      weights.tensors.map { (Self.baseName($0.name), $0.name) },
      uniquingKeysWith: { first, _ in first }
    )
  }

  /// The file of the names of the classes, which PEFT leaves alone.
  static let labelsName = "labels.json"

  private static func labels(_ directory: String) throws -> [String]? {
    let path = "\(directory)/\(labelsName)"
    guard ModelFolder.exists(path) else { return nil }
    return try JSONField(try ModelFolder.json(path), path: "").items().map { try $0.string() }
  }

  /// Settings that change what is computed, each with the values that do not.
  private static let strangers: [(key: String, harmless: [JSONValue])] = [
    ("use_dora", [.bool(false)]), ("rank_pattern", [.object([])]),
    ("alpha_pattern", [.object([])]), ("megatron_config", []),
    ("trainable_token_indices", []), ("target_parameters", []), ("alora_invocation_tokens", []),
  ]

  private static func adapters(_ json: JSONValue) throws -> Adapters {
    let root = JSONField(json, path: "")
    guard try root["peft_type"].string(default: "LORA") == "LORA" else {
      throw root["peft_type"].unexpected("LORA, the one kind that is read here")
    }
    for (key, harmless) in strangers {
      guard let value = json[key], value != .null, !harmless.contains(value) else { continue }
      throw root[key].unexpected("nothing: only plain LoRA is read")
    }
    let rank = try root["r"].integer(in: 1...1 << 16)
    let alpha = try root["lora_alpha"].isPresent ? root["lora_alpha"].number() : Double(rank)
    // Scaled by the square root of the rank instead of the rank.
    let isRootScaled = try root["use_rslora"].bool(default: false)
    return Adapters(
      rank: rank,
      alpha: Float(isRootScaled ? alpha * Double(rank).squareRoot() : alpha)
    )
  }

  /// `base_model.model.NAME`, without what PEFT puts in between.
  private static func baseName(_ name: String) -> String {
    let prefix = "base_model.model."
    let plain = name.hasPrefix(prefix) ? name.dropFirst(prefix.count) : name[...]
    return plain.split(separator: ".")
      .filter { !["base_layer", "modules_to_save", "default"].contains($0) }
      .joined(separator: ".")
  }

  /// The name in the file of a tensor of the model, nil where it has none.
  func fileName(of name: String, _ family: any ModelFamily) -> String? {
    names[family.exportName(name)] ?? names[name]
  }

  /// Whether a matrix has an adapter.
  func adapts(_ weight: String, _ family: any ModelFamily) -> Bool {
    fileName(of: Adapters.names(weight).a, family) != nil
  }

  /// The head the adapter was trained with, where it brings a new one.
  func head(_ family: any ModelFamily) -> ModelHead? {
    for name in family.newTensors where name.hasSuffix(".weight") {
      let isOutput = name == "score.weight" || name == "classifier.weight"
      guard isOutput, let file = fileName(of: name, family) else { continue }
      guard let classes = try? weights.entry(file).shape.first else { continue }
      return .classifier(classes: classes)
    }
    return nil
  }

  /// Refuses tensors that the model has no place for.
  func check(
    _ parameters: [Parameter],
    _ family: any ModelFamily
  ) throws(FineTuningError) {
    let read = Set(parameters.compactMap { fileName(of: $0.name, family) })
    guard let stranger = weights.tensors.first(where: { !read.contains($0.name) }) else { return }
    throw .model(
      directory: weights.directory,
      reason: "the adapter's \(stranger.name) names nothing in this model; is it of another base?"
    )
  }
}
