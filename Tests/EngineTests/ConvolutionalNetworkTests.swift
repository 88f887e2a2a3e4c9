// Apache-2.0.
import Codecs
import Datasets
import Execution
import FineTuning
import GraphCompiler
import ModelFiles
import Models
import Tensors
import TestSupport
import Testing

/// Counts of the networks, and what becomes of them under schemes and export.
@Suite("Convolutional networks as models")
struct ConvolutionalNetworkTests {
  private static func open(_ text: String) throws -> any ModelFamily {
    try ModelFamilies.open(try JSONValue.parse(Array(text.utf8))) { _ in false }
  }

  private static func graph(_ architecture: String) throws -> Graph {
    let family = try open(
      #"{"model_type":"samara_convolutional","architecture":\#(architecture)}"#
    )
    let request = GraphRequest(sequences: 1, positions: 1, head: .hidden, hasLoss: false)
    return try family.graph(request)
  }

  @Test(
    "Have the parameters and multiplications that were published",
    arguments: [
      (#""mcunet-5fps""#, 42, 469_224, 22_453_504, 160),
      (#""mobilenetv2","width_multiplier":0.35"#, 51, 244_448, 16_646_912, 112),
      (#""proxyless-0.3""#, 60, 326_232, 18_619_904, 96),
    ]
  )
  func counts(
    architecture: String,
    convolutions: Int,
    parameters: Int,
    products: Int,
    features: Int
  ) throws {
    let graph = try Self.graph(architecture)
    let weights = graph.parameters.filter { $0.name.hasSuffix(".conv.weight") }
    #expect(weights.count == convolutions)
    #expect(graph.parameters.reduce(0) { $0 + $1.shape.elementCount } == parameters)
    let layers = graph.nodes.filter {
      $0.operation is Linear || $0.operation is DepthwiseConvolution
    }
    #expect(layers.count == convolutions)
    let flops = layers.reduce(0) { sum, node in
      sum
        + node.operation.flops(
          node.inputs.map(graph.type(of:)),
          node.parameters.map { graph.parameters[$0.index].shape }
        )
    }
    #expect(flops / 2 == products)
    #expect(graph.type(of: graph.outputs[0].value).shape == [1, features])
  }

  @Test("Wider, narrower and of other sizes are one configuration away")
  func widths() throws {
    let plain = try Self.graph(#""mobilenetv2","image_size":224"#)
    // 3,504,872 of torchvision's less its classifier (1,281,000), its last layer (412,160) and one of
    // the two vectors of each norm (15,776).
    let count = plain.parameters.reduce(0) { $0 + $1.shape.elementCount }
    #expect(count == 1_795_936)
    let small = try Self.graph(#""mobilenetv2","width_multiplier":0.5,"image_size":[96,64]"#)
    #expect(small.type(of: small.inputs[0].value).shape == [96 * 64, 3])
  }

  @Test(
    "Configurations that are none are refused by the key",
    arguments: [
      (#""architecture":"resnet""#, "architecture"), (#""x":1"#, "architecture"),
      (#""architecture":"mobilenetv2","width_multiplier":0"#, "width_multiplier"),
      (#""architecture":"mobilenetv2","image_size":[1,2,3]"#, "image_size"),
      (#""architecture":"mobilenetv2","image_size":0"#, "image_size"),
      (#""architecture":"mobilenetv2","image_size":9000"#, "image_size"),
      (#""architecture":"mobilenetv2","bn_eps":0"#, "bn_eps"),
      (#""blocks":[]"#, "0 blocks"), (#""blocks":[[0,4,1,8]]"#, "block 0"),
      (#""blocks":[[0,3,1]]"#, "block 0"), (#""blocks":[[0,9,1,8]]"#, "block 0"),
      (#""blocks":[[0,3,0,8]]"#, "block 0"), (#""blocks":[[0,3,1,8]],"stem_channels":0"#, "stem"),
    ]
  )
  func refused(text: String, word: String) throws {
    let error = #expect(throws: ModelError.self) {
      try Self.open(#"{"model_type":"samara_convolutional",\#(text)}"#)
    }
    #expect(error?.description.contains(word) == true)
  }

  @Test("There is no language-modeling head")
  func languageModel() throws {
    let family = try Self.open(
      #"{"model_type":"samara_convolutional","architecture":"mcunet-5fps"}"#
    )
    let request = GraphRequest(sequences: 1, positions: 1, head: .languageModel, hasLoss: false)
    #expect(throws: ModelError.self) { try family.graph(request) }
  }

  @Test(
    "Schemes choose by block, and what lies before them is computed once",
    arguments: [
      ("head", 55, true), ("blocks:last=1+head", 24 * 12 + 24 + 9 * 24 + 24 + 240 + 10 + 55, true),
      ("bias:last=2", 20 + 20 + 12 + 24 + 24 + 10, true), ("full", 3597, false),
      ("weights:*.expand.conv.weight,fraction=1/4,last=2", 20 * 3 + 24 * 3, true),
    ]
  )
  func schemes(scheme: String, count: Int, hoists: Bool) throws {
    let golden = try GoldenVision("tiny", scheme: scheme)
    let columns = golden.model.selection.columns
    let shapes = Dictionary(
      uniqueKeysWithValues: golden.model.table.shapes.map { ($0.name, $0.shape) }
    )
    let chosen = columns.reduce(0) { sum, entry in
      let shape = shapes[entry.key] ?? [0]
      return sum + (entry.value.map { shape.rows * $0 } ?? shape.elementCount)
    }
    #expect(chosen == count)
    let trainer = try golden.trainer(.sgd())
    #expect(trainer.workspace.hoists == hoists)
    var losses: [Float] = []
    for _ in 0..<4 {
      losses.append(try trainer.step(golden.examples, rows: 3, rate: 0.05))
    }
    #expect(losses[0] == losses.max() && losses[3] < losses[0])
    // The same steps with everything computed at every visit.
    let plain = try TrainerWorkspace(
      golden.model,
      team: ThreadTeam(threads: 1),
      hoistsFrozenPrefix: false
    )
    let other = GradientTrainer(plain, optimizer: .sgd())
    for loss in losses {
      #expect(try other.step(golden.examples, rows: 3, rate: 0.05) == loss)
    }
  }

  @Test("A trained network is written with its norms folded, and read again")
  func export() throws {
    let golden = try GoldenVision("tiny", scheme: "blocks:last=1+head")
    let trainer = try golden.trainer(.sgd())
    for _ in 0..<3 { _ = try trainer.step(golden.examples, rows: 3, rate: 0.05) }
    let loss = try trainer.loss(golden.examples, rows: 3)
    try withTemporaryFolder { folder in
      try trainer.workspace.export(to: folder, labels: ["a", "b", "c", "d", "e"])
      let again = try LoadedModel(ModelRequest(directory: folder, scheme: .full))
      #expect(again.labels == ["a", "b", "c", "d", "e"])
      #expect(again.newTensors.isEmpty && again.unusedTensors.isEmpty)
      #expect(try again.checkpoint.entry("blocks.1.expand.conv.weight").shape == [16, 8, 1, 1])
      #expect(try again.checkpoint.entry("stem.conv.weight").shape == [12, 3, 3, 3])
      let workspace = try TrainerWorkspace(again, team: ThreadTeam(threads: 1))
      let other = GradientTrainer(workspace, optimizer: .sgd())
      // What was a frozen prefix may have been taken by parts.
      #expect(abs(try other.loss(golden.examples, rows: 3) - loss) <= 1e-6 * loss)
    }
  }

  @Test("Another number of classes is a new head")
  func newHead() throws {
    let golden = try GoldenVision("tiny", scheme: "head", classes: 9)
    #expect(golden.model.newTensors.sorted() == ["classifier.bias", "classifier.weight"])
    #expect(golden.model.parameterCount == 9 * 11)
    let trainer = try golden.trainer(.sgd())
    let first = try trainer.step(golden.examples, rows: 3, rate: 0.1)
    #expect(try trainer.loss(golden.examples, rows: 3) < first)
  }

  @Test("Values of another extent are refused")
  func extents() throws {
    let golden = try GoldenVision("tiny")
    let trainer = try golden.trainer()
    #expect(throws: FineTuningError.self) {
      try trainer.loss([Example(values: [1, 2], classIndex: 0)], rows: 1)
    }
    #expect(throws: FineTuningError.self) {
      try golden.model.forward(values: [[1, 2]], team: ThreadTeam(threads: 1))
    }
    #expect(throws: FineTuningError.self) {
      try trainer.loss([Example(tokens: [1, 2], labels: [1, 2], classIndex: 0)], rows: 1)
    }
  }
}
