// Apache-2.0.
import Codecs
import CommandLineTool
import Datasets
import Execution
import FineTuning
import GraphCompiler
import Models

/// Options of the commands that read a model or data outside of any run.
enum ModelOptions {
  static let model = Option.value("model", "DIR", "The model's folder in the Hugging Face layout.")
  static let threads = Option.value("threads", "N", "Threads; by default all processors.")

  static let adapter = Option.value(
    "adapter",
    "DIR",
    "An adapter for the model, as train or PEFT wrote it."
  )
  static let frozen = Option.value(
    "frozen",
    FrozenWeights.allCases.map(\.rawValue).joined(separator: "|"),
    "How matrices that do not train are held (stored)."
  )

  static let packFrozen = Option.flag(
    "pack-frozen",
    "Pack frozen matrices once: 4 to 6 bytes an element and purpose, the same bits."
  )

  static let data: [Option] = [
    .value(
      "data",
      "FILE",
      "JSON lines, CSV, text or .safetensors, or a folder of these or of pictures."
    ),
    .value("data-format", "NAME", "\(DataFormat.names.joined(separator: ", ")) (auto)."),
    .value("template", "NAME", "Chat template; auto chooses by the model's special tokens."),
    .value("max-length", "N", "Tokens of an example at most (256)."),
    .value("batch-size", "N", "Examples of a batch (8)."),
    .value("limit", "N", "Examples at most."),
  ]
}

extension Arguments {
  /// The model of `--model` as it is stored, under the adapter of `--adapter` where one is given.
  func storedModel() throws -> LoadedModel {
    try LoadedModel(
      ModelRequest(
        directory: try required("model"),
        frozen: try frozen(),
        adapter: value("adapter")
      )
    )
  }

  /// Passes of a training step under `--pack-frozen`.
  var passes: TrainingPasses { isSet("pack-frozen") ? .all.union(.packedWeights) : .all }

  /// Bytes of `--budget`.
  func budget() throws(CommandFailure) -> Int? { try bytes("budget") }

  /// Bytes of `--memory`.
  func memory() throws(CommandFailure) -> Int? { try bytes("memory") }

  private func bytes(_ option: String) throws(CommandFailure) -> Int? {
    guard let text = value(option) else { return nil }
    guard let bytes = byteCount(text) else {
      throw .usage("--\(option) \(text): expected a size as 200MiB, 1.5GiB or 300000")
    }
    return bytes
  }

  /// Value of `--frozen`.
  func frozen() throws(CommandFailure) -> FrozenWeights {
    let name = value("frozen") ?? FrozenWeights.stored.rawValue
    guard let frozen = FrozenWeights(rawValue: name) else {
      let names = FrozenWeights.allCases.map(\.rawValue).joined(separator: ", ")
      throw .usage("--frozen \(name) is none of \(names)")
    }
    return frozen
  }

  /// Data as `ModelOptions.data` describe it, read for a model.
  ///
  /// - Parameter labels: names of the classes of a new head.
  /// - Throws: where the file cannot be read, nothing in it is an example, or the model's classes have
  ///   no names.
  func data(at path: String, for model: LoadedModel, labels: [String]? = nil) throws -> ClientData {
    let labels = labels ?? model.labels ?? (model.family.valueCount > 0 ? model.classNumbers : nil)
    if case .classifier = model.head, labels == nil {
      throw CommandFailure.usage(
        "config.json has no id2label that names the model's classes, and no --labels does"
      )
    }
    let length = try integer("max-length", in: 2...(1 << 17)) ?? 256
    let reader = try DatasetReader(
      tokenizer: try model.dataTokenizer(),
      images: try model.imageInput(),
      format: value("data-format") ?? "auto",
      template: value("template") ?? "auto",
      maximumLength: min(length, model.family.maximumPositions),
      labels: labels,
      limit: try integer("limit", in: 1...(1 << 30)) ?? .max
    )
    return ClientData(
      try reader.read(path: path),
      batchSize: try integer("batch-size", in: 1...4096) ?? 8
    )
  }
}
