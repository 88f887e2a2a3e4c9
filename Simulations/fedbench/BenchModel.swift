// Apache-2.0.
import Codecs
import Execution
import FineTuning
import Glibc
import GraphCompiler
import ModelFiles
import Models
import Tensors

/// A model with random weights and a full batch, for measuring: no file is read.
struct BenchModel {
  /// Name in reports.
  let name: String
  /// The family with its configuration.
  let family: any ModelFamily
  /// Sequences of the batch.
  let sequences: Int
  /// Positions of a sequence.
  let positions: Int
  /// The head whose outputs or losses are computed.
  let head: ModelHead

  /// The models every report shows: an encoder of 22 M parameters, a decoder of 10 M.
  static func standard() throws -> [BenchModel] {
    [
      BenchModel(
        name: "MiniLM 8x128",
        family: try ModelFamilies.open(
          .object([
            .init("model_type", .string("bert")), .init("hidden_size", .integer(384)),
            .init("intermediate_size", .integer(1536)), .init("num_hidden_layers", .integer(6)),
            .init("num_attention_heads", .integer(12)), .init("vocab_size", .integer(30_522)),
            .init("max_position_embeddings", .integer(512)),
          ]),
          hasTensor: { $0 == "embeddings.word_embeddings.weight" }
        ),
        sequences: 8,
        positions: 128,
        head: .hidden
      ),
      BenchModel(
        name: "Llama 10M 8x256",
        family: try ModelFamilies.open(
          .object([
            .init("model_type", .string("llama")), .init("hidden_size", .integer(320)),
            .init("intermediate_size", .integer(896)), .init("num_hidden_layers", .integer(6)),
            .init("num_attention_heads", .integer(10)),
            .init("num_key_value_heads", .integer(5)), .init("vocab_size", .integer(8192)),
            .init("max_position_embeddings", .integer(512)),
            .init("tie_word_embeddings", .bool(true)),
          ]),
          hasTensor: { _ in false }
        ),
        sequences: 8,
        positions: 256,
        head: .languageModel
      ),
    ]
  }

  /// Models to train: those with `word` in their name, the standard ones where nil.
  static func trained(_ word: String?) throws -> [BenchModel] {
    guard let word = word?.lowercased() else { return try standard().map(\.trained) }
    return try (standard() + images()).filter { $0.name.lowercased().contains(word) }.map(\.trained)
  }

  /// MobileNetV2 at width 0.35 over 128×128 pixels, by one image and by eight.
  private static func images() throws -> [BenchModel] {
    try [1, 8].map { images in
      BenchModel(
        name: "MobileNetV2-0.35 128² b\(images)",
        family: try ModelFamilies.open(
          .object([
            .init("model_type", .string("samara_convolutional")),
            .init("architecture", .string("mobilenetv2")),
            .init("width_multiplier", .number(0.35)), .init("image_size", .integer(128)),
          ]),
          hasTensor: { _ in false }
        ),
        sequences: images,
        positions: 1,
        head: .hidden
      )
    }
  }

  /// The same body under a loss: the head that has one.
  var trained: BenchModel {
    BenchModel(
      name: name,
      family: family,
      sequences: sequences,
      positions: positions,
      head: head == .languageModel ? head : .classifier(classes: 20)
    )
  }

  /// The graph of a batch.
  func graph(hasLoss: Bool) throws -> Graph {
    try family.graph(
      GraphRequest(sequences: sequences, positions: positions, head: head, hasLoss: hasLoss)
    )
  }

  /// Random weights for `graph`.
  func table(for graph: Graph, isTrainable: Bool) -> WeightTable {
    table(for: graph, isTrainable: { _ in isTrainable })
  }

  /// Weights for `graph` in a mapped file without a name: the memory of a model as users load it.
  func mappedTable(for graph: Graph, isTrainable: (String) -> Bool) throws -> WeightTable {
    let path = "/tmp/fedbench-weights-\(getpid())"
    let count = graph.parameters.reduce(0) { $0 + ($1.shape.elementCount + 15) / 16 * 16 }
    guard let file = unsafe fopen(path, "w") else {
      throw ModelFileError.system(attempt: "write \(path)", code: errno)
    }
    var state: UInt32 = 1
    for _ in stride(from: 0, to: count, by: 4096) {
      let floats = (0..<4096).map { _ in Self.next(&state) }
      _ = unsafe floats.withUnsafeBytes { unsafe fwrite($0.baseAddress, 1, $0.count, file) }
    }
    unsafe fclose(file)
    defer { unsafe unlink(path) }
    let mapped = try MappedFile(path: path)
    var tensors: [String: StoredTensor] = [:]
    var offset = 0
    for parameter in graph.parameters {
      let bytes = parameter.shape.elementCount * 4
      guard let start = unsafe mapped.bytes(offset..<offset + bytes).baseAddress else { continue }
      // SAFETY: the bytes of a mapping that the tensor keeps alive.
      tensors[parameter.name] = unsafe StoredTensor(
        shape: parameter.shape,
        type: .f32,
        bytes: start,
        owner: mapped,
        isMapped: true
      )
      if !isTrainable(parameter.name) {
        // Frozen weights are there before a step, which is measured without them. 22: read them in.
        let page = UInt(bitPattern: start) & ~4095
        unsafe madvise(
          UnsafeMutableRawPointer(bitPattern: page),
          Int(UInt(bitPattern: start) - page) + bytes,
          22
        )
      }
      offset += (bytes + 63) & ~63
    }
    return WeightTable(tensors, isTrainable: isTrainable)
  }

  private static func next(_ state: inout UInt32) -> Float {
    state = state &* 1_664_525 &+ 1_013_904_223
    return Float(Int32(bitPattern: state) >> 8) * 0x1p-23 * 0.05
  }

  /// Random weights for `graph`, some of them trainable.
  func table(
    for graph: Graph,
    isTrainable: (String) -> Bool,
    frozen: FrozenWeights = .stored
  ) -> WeightTable {
    var state: UInt32 = 1
    var tensors: [String: StoredTensor] = [:]
    for parameter in graph.parameters {
      let floats = (0..<parameter.shape.elementCount).map { _ in Self.next(&state) }
      let stored = StoredTensor(shape: parameter.shape, floats: floats)
      let trains = isTrainable(parameter.name)
      tensors[parameter.name] = trains ? stored : stored.held(frozen)
    }
    return WeightTable(tensors, isTrainable: isTrainable)
  }

  /// One picture, made once: a step is measured, not what its input is made of.
  private static let picture: [Float] = (0..<49_152).map { index in
    let byte = index &* 7919 % 255
    return Float(byte) / 127.5 - 1
  }

  /// Sets ids, lengths, labels and gradients of losses of a batch without padding.
  func fill(_ plan: BoundPlan) throws {
    let vocabulary = family.vocabularyCount
    for (name, value) in plan.plan.graph.inputs {
      let count = plan.plan.graph.type(of: value).shape.elementCount
      switch name {
      case "lengths":
        try plan.set(name, integers: [Int32](repeating: Int32(positions), count: count))
      case "labels" where head.classes != nil:
        try plan.set(name, integers: (0..<count).map { Int32($0 % (head.classes ?? 1)) })
      case TrainingGraph.lossGradients:
        try plan.set(name, floats: [Float](repeating: 1 / Float(count), count: count))
      case TrainingGraph.schedule: continue
      case _ where name.hasPrefix("boundary."): continue
      case "values":
        var values: [Float] = []
        values.reserveCapacity(count)
        while values.count < count { values += Self.picture.prefix(count - values.count) }
        try plan.set(name, floats: values)
      default:
        try plan.set(name, integers: (0..<count).map { Int32($0 &* 7919 % vocabulary) })
      }
    }
  }
}

extension ModelHead {
  /// Classes of a classifier.
  fileprivate var classes: Int? {
    if case .classifier(let classes) = self { classes } else { nil }
  }
}
