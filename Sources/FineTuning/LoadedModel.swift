// Apache-2.0.
public import Codecs
public import Execution
public import FederatedCore
import GraphCompiler
public import ModelFiles
public import Models
import SharedRandomness
import Tensors

/// Which model is wanted, and for what.
public struct ModelRequest: Sendable {
  /// Folder in the Hugging Face layout: `config.json`, weights, tokenizer.
  public let directory: String
  /// The head; nil for the one the checkpoint was saved with.
  public let head: ModelHead?
  /// Which tensors can change, where no scheme says it.
  public let trainable: ParameterSelection
  /// Which parts of the model learn, adapters among them.
  public let scheme: UpdateScheme?
  /// Key of the random numbers a new head is made of.
  public let headSeed: UInt64
  /// Bytes at most of what the frozen prefix made of examples.
  public let featureBytes: Int
  /// How matrices that cannot change are held.
  public let frozen: FrozenWeights
  /// Folder of an adapter that is laid over the model, as it was written.
  public let adapter: String?
  /// Whether the A of a new adapter is zero as its B is, for a method that says what both are.
  public let emptyAdapters: Bool

  /// A request.
  public init(
    directory: String,
    head: ModelHead? = nil,
    trainable: ParameterSelection = ParameterSelection([]),
    scheme: UpdateScheme? = nil,
    headSeed: UInt64 = 0,
    featureBytes: Int = 16 << 20,
    frozen: FrozenWeights = .stored,
    adapter: String? = nil,
    emptyAdapters: Bool = false
  ) {
    self.directory = directory
    self.head = head
    self.trainable = trainable
    self.scheme = scheme
    self.headSeed = headSeed
    self.featureBytes = featureBytes
    self.frozen = frozen
    self.adapter = adapter
    self.emptyAdapters = emptyAdapters
  }
}

/// A model ready to work with: base weights mapped from their files, shared by all who use it.
public final class LoadedModel: Sendable {
  /// What was asked for.
  public let request: ModelRequest
  /// The family, with its configuration.
  public let family: any ModelFamily
  /// The head in use.
  public let head: ModelHead
  /// `config.json` as stored.
  public let configuration: JSONValue
  /// The weights as stored.
  public let checkpoint: Checkpoint
  /// The weights as plans read them.
  public let table: WeightTable
  /// What of the model learns.
  public let selection: UpdateSelection
  /// Tensors of the model that were made new, because the checkpoint lacks them.
  public let newTensors: [String]
  /// Tensors of the checkpoint that the model does not read.
  public let unusedTensors: [String]
  /// What the part before the first trainable tensor made of examples.
  public let features: FeatureCache
  private let adapter: AdapterFolder?

  /// Opens a folder.
  ///
  /// - Throws: `FineTuningError` where the folder is not a model of a known family, or no tensor is
  ///   matched though patterns were given.
  public init(_ request: ModelRequest) throws(FineTuningError) {
    let directory = request.directory
    self.request = request
    features = FeatureCache(limit: request.featureBytes)
    let configuration = try FineTuningError.inModel(directory) {
      try ModelFolder.json("\(directory)/config.json")
    }
    let checkpoint = try FineTuningError.inModel(directory) { try Checkpoint(directory: directory) }
    let family = try FineTuningError.inModel(directory) {
      try ModelFamilies.open(configuration, hasTensor: checkpoint.contains)
    }
    self.configuration = configuration
    self.checkpoint = checkpoint
    self.family = family
    let adapter = try request.adapter.map { path throws(FineTuningError) in
      try AdapterFolder(directory: path)
    }
    self.adapter = adapter
    head = request.head ?? adapter?.head(family) ?? family.storedHead
    let head = self.head
    let hasLoss = head != .hidden
    let smallest = GraphRequest(sequences: 1, positions: 1, head: head, hasLoss: hasLoss)
    let graph = try FineTuningError.inModel(directory) {
      Self.adapted(try family.graph(smallest), request.scheme, adapter, family)
    }
    let parameters = graph.parameters
    try adapter?.check(parameters, family)
    selection =
      try request.scheme?.selection(graph)
      ?? UpdateSelection(
        columns: Dictionary(
          uniqueKeysWithValues: parameters.map(\.name).filter(request.trainable.contains)
            .map { ($0, nil) }
        )
      )
    var tensors: [String: StoredTensor] = [:]
    var missing: [String] = []
    var new: [String] = []
    for parameter in parameters {
      if let adapter, let name = adapter.fileName(of: parameter.name, family) {
        tensors[parameter.name] = try FineTuningError.inModel(adapter.weights.directory) {
          try adapter.weights.tensor(parameter, of: family, named: name)
        }
      } else if checkpoint.holds(parameter.name, of: family),
        try !Self.isReplaced(parameter, checkpoint, head, family)
      {
        let stored = try FineTuningError.inModel(directory) {
          try checkpoint.tensor(parameter, of: family)
        }
        let trains = selection.contains(parameter.name)
        tensors[parameter.name] = trains ? stored : stored.held(request.frozen)
      } else if Adapters.isPart(parameter.name) || family.newTensors.contains(parameter.name) {
        new.append(parameter.name)
        tensors[parameter.name] = Self.made(
          parameter,
          seed: request.headSeed,
          index: UInt32(new.count),
          isEmpty: request.emptyAdapters && Adapters.isPart(parameter.name)
        )
      } else {
        missing.append(parameter.name)
      }
    }
    guard missing.isEmpty else {
      throw .model(directory: directory, reason: "\(ModelError.missingTensors(missing))")
    }
    newTensors = new
    var used = Set(tensors.keys).subtracting(new)
    for norm in parameters.compactMap({ family.foldedNorm($0.name) }) {
      used.formUnion([norm.gain, norm.bias, norm.mean, norm.variance])
    }
    unusedTensors = checkpoint.tensors.map(\.name).filter { name in
      // Counters and tables that old checkpoints stored although anybody can make them.
      !used.contains(name)
        && ![
          ".position_ids", ".inv_freq", ".attn.bias", ".attn.masked_bias", ".num_batches_tracked",
        ].contains(where: name.hasSuffix)
    }
    table = WeightTable(tensors, isTrainable: selection.contains)
    // Reading brought in pages of neighbours too.
    if request.frozen != .stored { checkpoint.releasePages() }
    guard adapter == nil || request.scheme?.hasAdapters != true else {
      throw .scheme(request.scheme?.description ?? "", reason: "adapters over an adapter")
    }
    guard request.trainable.patterns.isEmpty || table.trainableCount > 0 else {
      throw .nothingTrainable(patterns: request.trainable.patterns)
    }
  }

  /// The graph of a request, with the adapters of the folder and of the scheme.
  func graph(_ request: GraphRequest) throws(ModelError) -> Graph {
    Self.adapted(try family.graph(request), self.request.scheme, adapter, family)
  }

  private static func adapted(
    _ graph: Graph,
    _ scheme: UpdateScheme?,
    _ adapter: AdapterFolder?,
    _ family: any ModelFamily
  ) -> Graph {
    let read =
      adapter.map { adapter in
        graph.adapted(adapter.adapters) { adapter.adapts($0, family) }
      } ?? graph
    return scheme?.adapted(read) ?? read
  }

  /// Whether a tensor of the checkpoint belongs to a head with another number of classes.
  private static func isReplaced(
    _ parameter: Parameter,
    _ checkpoint: Checkpoint,
    _ head: ModelHead,
    _ family: any ModelFamily
  ) throws(FineTuningError) -> Bool {
    guard head != family.storedHead, family.newTensors.contains(parameter.name) else {
      return false
    }
    let entry = try FineTuningError.inModel(checkpoint.directory) {
      try checkpoint.entry(parameter.name)
    }
    return entry.shape != family.storedShape(parameter.name, parameter.shape).dimensions
  }

  /// Trainable scalars, d.
  public var parameterCount: Int { table.trainableCount }

  /// The trainable tensors in canonical order.
  public var blocks: [ParameterBlock] {
    var next = 0
    return table.trainable.map { name, shape in
      defer { next += shape.elementCount }
      return ParameterBlock(
        name: name,
        shape: Array(shape.dimensions),
        range: next..<next + shape.elementCount
      )
    }
  }

  /// Names of a classifier's classes in the order of its outputs, where the adapter or `config.json`
  /// has them.
  public var labels: [String]? {
    let hasNewHead = !newTensors.allSatisfy(Adapters.isPart)
    guard case .classifier(let classes) = head, !hasNewHead else { return nil }
    if let labels = adapter?.labels, labels.count == classes { return labels }
    let names = (0..<classes).compactMap { index -> String? in
      guard case .string(let name) = configuration["id2label"]?["\(index)"] else { return nil }
      return name
    }
    return names.count == classes ? names : nil
  }

  /// Numbers of a classifier's classes, for data that have no other names for them.
  public var classNumbers: [String]? {
    guard case .classifier(let classes) = head else { return nil }
    return (0..<classes).map { "\($0)" }
  }

  /// The tokenizer of the folder.
  public func tokenizer() throws(FineTuningError) -> any Tokenizer {
    try FineTuningError.inModel(request.directory) {
      try TokenizerFile.load(directory: request.directory)
    }
  }

  /// The tokenizer that data are read with; nil where the model reads values.
  public func dataTokenizer() throws(FineTuningError) -> (any Tokenizer)? {
    family.valueCount > 0 ? nil : try tokenizer()
  }

  /// Bytes of the weight files, mapped and not copied.
  public var mappedBytes: Int { checkpoint.tensors.reduce(0) { $0 + $1.range.count } }

  /// What names the base: everybody whose digest is equal reaches the same weights by the same
  /// integers.
  ///
  ///     "samara base 1", checkpoint digest, varint count of trainable tensors,
  ///     for each: string name, varint rank, varint extent…; varint count of new tensors,
  ///     for each: string name; u64 head seed;
  ///     and where frozen matrices are not held as stored: string "int8" or "bf16";
  ///     and where new adapters are empty: string "empty adapters"
  ///
  /// The first call reads every byte of the checkpoint.
  public var baseDigest: Digest {
    var writer = ByteWriter()
    writer.write(string: "samara base 1")
    writer.write(bytes: checkpoint.digest.bytes)
    writer.write(count: table.trainable.count)
    for (name, shape) in table.trainable {
      writer.write(string: name)
      writer.write(count: shape.rank)
      for extent in shape.dimensions { writer.write(count: extent) }
    }
    writer.write(count: newTensors.count)
    for name in newTensors { writer.write(string: name) }
    writer.write(newTensors.isEmpty ? 0 : request.headSeed)
    if request.frozen != .stored {
      writer.write(string: request.frozen.rawValue)
      checkpoint.releasePages()
    }
    if request.emptyAdapters { writer.write(string: "empty adapters") }
    return Digest.sha256(of: writer.bytes)
  }

  /// Elements of a tensor of the checkpoint, widened; nil where it has none of the name.
  func storedFloats(of name: String) throws(FineTuningError) -> [Float]? {
    guard let shape = table.shapes.first(where: { $0.name == name })?.shape,
      checkpoint.holds(name, of: family)
    else { return nil }
    return try FineTuningError.inModel(request.directory) {
      try checkpoint.tensor(Parameter(name: name, shape: shape), of: family).floats
    }
  }

  /// A new tensor: a vector and the B of an adapter zero, a matrix uniform in ±0.02·√3, the A of an
  /// adapter in ±1/√inputs.
  ///
  /// These are the deviations transformers and PEFT start with; uniform, because its bits need no
  /// library of mathematics.
  private static func made(
    _ parameter: Parameter,
    seed: UInt64,
    index: UInt32,
    isEmpty: Bool
  ) -> StoredTensor {
    let shape = parameter.shape
    let isAdapter = Adapters.isPart(parameter.name)
    guard shape.rank > 1, !parameter.name.hasSuffix(".lora_B.weight"), !isEmpty else {
      return StoredTensor(shape: shape, floats: [Float](repeating: 0, count: shape.elementCount))
    }
    var stream = RandomStream(key: seed, purpose: .headInitialization, client: index)
    let bound: Float = isAdapter ? 1 / Float(shape.columns).squareRoot() : 0.034641016
    let floats = (0..<shape.elementCount).map { _ in
      // 24 bits, so that the product is rounded once.
      Float(Int32(bitPattern: stream.next32()) >> 8) * (bound * 0x1p-23)
    }
    return StoredTensor(shape: shape, floats: floats)
  }
}
