// Apache-2.0.
import Codecs
import Execution
import GraphCompiler
import ModelFiles
import Models
import Tensors

extension TrainerWorkspace {
  /// Writes the present weights as a Hugging Face folder that transformers loads.
  ///
  /// `model.safetensors` holds the tensors that can change as F32 and the others as stored; adapters
  /// are added to the matrices they stand beside;
  /// `config.json` names the architecture, the labels and the element type; every other small file of
  /// the model's folder (tokenizer, generation settings, licence) is copied.
  ///
  /// - Parameter labels: names of a classifier's classes, in order.
  /// - Throws: `FineTuningError` where the folder cannot be written.
  public func export(to directory: String, labels: [String]? = nil) throws(FineTuningError) {
    try FineTuningError.inModel(directory) {
      try ModelFolder.make(directory)
      try copySmallFiles(to: directory)
      try writeWeights(to: "\(directory)/\(Checkpoint.fileName)")
      let json = exportedConfiguration(labels: labels)
      try ModelFolder.write(
        Array((json.serialized(pretty: true) + "\n").utf8),
        to: "\(directory)/config.json"
      )
    }
  }

  private func writeWeights(to path: String) throws {
    let family = model.family
    let trainable = Set(model.table.trainable.map(\.name))
    var names: [String: String] = [:]
    var tensors: [TensorDescription] = []
    for (name, shape) in model.table.shapes where !Adapters.isPart(name) {
      let isStored =
        !trainable.contains(name) && !trainable.contains(Adapters.names(name).a)
        && model.isStored(name)
      let type = isStored ? try model.checkpoint.entry(name).elementType() : .f32
      let exported = renames ? family.exportName(name) : name
      names[exported] = name
      tensors.append(
        TensorDescription(
          name: exported,
          type: type,
          shape: model.storedExtents(name, shape)
        )
      )
    }
    var writer = try SafetensorsWriter(path: path, tensors: tensors)
    let shapes = Dictionary(uniqueKeysWithValues: model.table.shapes.map { ($0.name, $0.shape) })
    for tensor in writer.tensors {
      let name = names[tensor.name] ?? tensor.name
      if let weights = try merged(name) ?? workspace.weights(of: name) {
        let stored = model.asStored(name, weights, shapes[name] ?? [weights.count]).values
        // SAFETY: floats have no padding; every machine this runs on is little-endian.
        try unsafe writer.append(stored.span.bytes)
      } else if model.isStored(name) {
        let bytes = try model.checkpoint.bytes(of: name)
        // SAFETY: `bytes` lives to the end of the statement.
        try unsafe writer.append(RawSpan(_unsafeBytes: bytes.bytes))
      } else if let floats = model.table.floats(of: name) {
        // SAFETY: as above.
        try unsafe writer.append(floats.span.bytes)
      }
    }
    try writer.finish()
  }

  /// Whether tensors get the names of the new head's architecture.
  private var renames: Bool { model.head != model.family.storedHead }

  private func exportedConfiguration(labels: [String]?) -> JSONValue {
    guard case .object(var members) = model.configuration else { return model.configuration }
    func set(_ key: String, _ value: JSONValue) {
      members.removeAll { $0.key == key }
      members.append(.init(key, value))
    }
    set("architectures", .array([.string(model.family.architecture(model.head))]))
    if model.parameterCount > 0 || !model.newTensors.isEmpty {
      for key in ["dtype", "torch_dtype"] where members.contains(where: { $0.key == key }) {
        set(key, .string("float32"))
      }
    }
    if case .classifier(let classes) = model.head, let labels, labels.count == classes {
      set("num_labels", .integer(Int64(classes)))
      set("id2label", .object(labels.enumerated().map { .init("\($0)", .string($1)) }))
      set(
        "label2id",
        .object(labels.enumerated().map { .init($1, .integer(Int64($0))) })
      )
    }
    return .object(members)
  }

  /// Files beside the weights and the configuration, up to a size no tokenizer reaches.
  private func copySmallFiles(to directory: String) throws {
    let limit = 64 << 20
    for name in try ModelFolder.fileNames(model.request.directory) {
      let isWeights =
        name.hasSuffix(".safetensors") || name.hasSuffix(".bin") || name.hasPrefix(".")
        || name == "config.json" || name == Checkpoint.indexName
      guard !isWeights else { continue }
      let path = "\(model.request.directory)/\(name)"
      guard let bytes = try? ModelFolder.bytes(path, limit: limit) else { continue }
      try ModelFolder.write(bytes, to: "\(directory)/\(name)")
    }
  }
}
