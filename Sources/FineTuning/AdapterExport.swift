// Apache-2.0.
import Codecs
import Execution
public import FederatedCore
import GraphCompiler
import ModelFiles
import Models
import Tensors

extension LoadedModel {
  /// The adapters of the scheme; nil where it has none.
  var adapters: Adapters? {
    for case .adapters(let adapters, _, _) in request.scheme?.terms ?? [] { return adapters }
    return nil
  }

  /// Whether what trains is adapters and whole modules, which is what PEFT can hold.
  public var exportsAsAdapter: Bool { adapters != nil && adapterModules != nil }

  /// Modules that train beside the adapters or are new; nil where one of them trains in part.
  private var adapterModules: [String]? {
    let trainable = Set(table.trainable.map(\.name)).union(newTensors)
      .filter { !Adapters.isPart($0) }
    let modules = Set(trainable.map(Self.module))
    let isWhole =
      selection.fractions.isEmpty
      && table.shapes.allSatisfy { name, _ in
        !modules.contains(Self.module(name)) || trainable.contains(name) || Adapters.isPart(name)
      }
    return isWhole ? modules.sorted() : nil
  }

  private static func module(_ name: String) -> String {
    name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
  }

  /// `target_modules` of PEFT: last names where these say it all, else whole paths.
  private func targets(_ adapted: Set<String>, among linear: [String]) -> [String] {
    func last(_ module: String) -> String {
      module.split(separator: ".").last.map(String.init) ?? module
    }
    let names = Set(adapted.map(last))
    let reached = linear.filter { names.contains(last($0)) }
    return (Set(reached) == adapted ? names : Set(adapted.map(family.exportName))).sorted()
  }

  /// `adapter_config.json` as PEFT 0.10 and later read it.
  func adapterConfiguration(base: String) throws -> JSONValue {
    guard let adapters, let modules = adapterModules else {
      throw FineTuningError.model(
        directory: base,
        reason: "what trains is not adapters and whole modules alone, so PEFT cannot hold it"
      )
    }
    let graph = try family.graph(
      GraphRequest(sequences: 1, positions: 1, head: head, hasLoss: false)
    )
    let linear = graph.linearWeights.map(Self.module)
    let parts = table.trainable.map(\.name).filter(Adapters.isPart)
    let adapted = Set(parts.map { Self.module(Self.module($0)) })
    let task: JSONValue =
      switch head {
      case .hidden: .string("FEATURE_EXTRACTION")
      case .languageModel: .string("CAUSAL_LM")
      case .classifier: .string("SEQ_CLS")
      }
    let isTurned = adapted.contains { family.isTransposed("\($0).weight") }
    let kept = modules.map { JSONValue.string(family.exportName($0)) }
    return .object([
      .init("base_model_name_or_path", .string(base)),
      .init("bias", .string("none")),
      .init("fan_in_fan_out", .bool(isTurned)),
      .init("inference_mode", .bool(true)),
      .init("init_lora_weights", .bool(true)),
      .init("lora_alpha", .number(Double(adapters.alpha))),
      .init("lora_dropout", .number(0)),
      .init("modules_to_save", modules.isEmpty ? .null : .array(kept)),
      .init("peft_type", .string("LORA")),
      .init("r", .integer(Int64(adapters.rank))),
      .init("target_modules", .array(targets(adapted, among: linear).map { .string($0) })),
      .init("task_type", task),
    ])
  }
}

extension TrainerWorkspace {
  /// Writes a version of a run: as a PEFT adapter where adapters and whole modules train, else as a
  /// Hugging Face folder.
  public func export(_ run: RunConfiguration, to directory: String) throws(FineTuningError) {
    if model.exportsAsAdapter {
      try exportAdapter(to: directory, base: run.model, labels: run.labels)
    } else {
      try export(to: directory, labels: run.labels)
    }
  }

  /// Writes what trains as a PEFT adapter: `adapter_config.json`, `adapter_model.safetensors`.
  ///
  /// - Parameters:
  ///   - base: where the reader of the adapter finds its base model.
  ///   - labels: names of a classifier's classes, written to `labels.json`.
  /// - Throws: `FineTuningError` where something else than adapters and whole modules trains, or the
  ///   folder cannot be written.
  public func exportAdapter(
    to directory: String,
    base: String,
    labels: [String]? = nil
  ) throws(FineTuningError) {
    try FineTuningError.inModel(directory) {
      let json = try model.adapterConfiguration(base: base)
      try ModelFolder.make(directory)
      let exported =
        model.table.trainable.map(\.name)
        + model.newTensors.filter { workspace.weights(of: $0) == nil }
      var names: [String: String] = [:]
      for name in exported { names["base_model.model.\(model.family.exportName(name))"] = name }
      let shapes = Dictionary(uniqueKeysWithValues: model.table.shapes.map { ($0.name, $0.shape) })
      var writer = try SafetensorsWriter(
        path: "\(directory)/adapter_model.safetensors",
        tensors: names.compactMap { name, own in
          shapes[own].map {
            TensorDescription(name: name, type: .f32, shape: model.storedExtents(own, $0))
          }
        }
      )
      for tensor in writer.tensors {
        let own = names[tensor.name] ?? tensor.name
        let values = workspace.weights(of: own) ?? model.table.floats(of: own) ?? []
        let stored = model.asStored(own, values, shapes[own] ?? [values.count]).values
        // SAFETY: floats have no padding; every machine this runs on is little-endian.
        try unsafe writer.append(stored.span.bytes)
      }
      try writer.finish()
      try ModelFolder.write(
        Array((json.serialized(pretty: true) + "\n").utf8),
        to: "\(directory)/adapter_config.json"
      )
      guard let labels, model.head == .classifier(classes: labels.count) else { return }
      let classes = JSONValue.array(labels.map { .string($0) }).serialized()
      try ModelFolder.write(
        Array("\(classes)\n".utf8),
        to: "\(directory)/\(AdapterFolder.labelsName)"
      )
    }
  }

  /// W + (α/r)·B·A of a matrix with an adapter, in binary64 and rounded once; nil without one.
  ///
  /// W is the stored matrix, also where training read it in fewer bits.
  func merged(_ name: String) throws(FineTuningError) -> [Float]? {
    let (aName, bName) = Adapters.names(name)
    guard let adapters = model.adapters, let a = workspace.weights(of: aName),
      let b = workspace.weights(of: bName)
    else { return nil }
    let stored = try model.storedFloats(of: name)
    guard var weight = workspace.weights(of: name) ?? stored else { return nil }
    let rank = adapters.rank
    let (rows, columns) = (b.count / rank, a.count / rank)
    let scale = Double(adapters.alpha) / Double(rank)
    var sums = [Double](repeating: 0, count: columns)
    for row in 0..<rows {
      for column in 0..<columns { sums[column] = 0 }
      for inner in 0..<rank {
        let factor = Double(b[row * rank + inner]) * scale
        for column in 0..<columns { sums[column] += factor * Double(a[inner * columns + column]) }
      }
      for column in 0..<columns {
        weight[row * columns + column] = Float(
          Double(weight[row * columns + column]) + sums[column]
        )
      }
    }
    return weight
  }
}
