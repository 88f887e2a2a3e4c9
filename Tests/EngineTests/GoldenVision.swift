// Apache-2.0.
import Codecs
import Datasets
import FineTuning
import GraphCompiler
import ModelFiles
import Models
import Tensors
import TestSupport
import Testing

/// A convolutional network of `Tests/Golden/vision` and what PyTorch makes of one batch.
struct GoldenVision {
  static let names = ["tiny", "mobilenetv2", "mcunet", "proxyless"]

  let model: LoadedModel
  let examples: [Example]
  private let expected: SafetensorsFile

  init(_ name: String, scheme: String = "full", classes: Int? = nil) throws {
    let golden = Self.folder(name)
    expected = try SafetensorsFile(path: "\(golden)/expected.safetensors")
    func load(_ directory: String) throws -> LoadedModel {
      try LoadedModel(
        ModelRequest(
          directory: directory,
          head: classes.map(ModelHead.classifier),
          scheme: UpdateScheme(scheme)
        )
      )
    }
    var loaded: LoadedModel?
    if name == "tiny" {
      loaded = try load(golden)
    } else {
      // What is mapped stays when the folder goes.
      try withTemporaryFolder { directory in
        let bytes = try ModelFolder.bytes("\(golden)/config.json", limit: 1 << 16)
        try ModelFolder.write(bytes, to: "\(directory)/config.json")
        try Self.writeDrawnWeights(try ModelFolder.json("\(golden)/config.json"), to: directory)
        loaded = try load(directory)
      }
    }
    model = try #require(loaded)
    let count = model.family.valueCount
    let index = try #require(Self.names.firstIndex(of: name))
    let pixels = Self.drawn(1000 + index, count: 3 * count, bound: 1)
    examples = [2, 0, 4].enumerated().map { row, label in
      Example(values: Array(pixels[row * count..<(row + 1) * count]), classIndex: Int32(label))
    }
  }

  static func folder(_ name: String) -> String { SourceTree.golden("vision/\(name)") }

  /// `drawn` of generate.py.
  static func drawn(_ stream: Int, count: Int, bound: Double) -> [Float] {
    (0..<count).map { index in
      var x = UInt64(index + stream * 1_000_003) &* 2_654_435_761 & 0xFFFF_FFFF
      x ^= x >> 15
      x = x &* 2_246_822_519 & 0xFFFF_FFFF
      x ^= x >> 13
      x = x &* 3_266_489_917 & 0xFFFF_FFFF
      x ^= x >> 16
      return Float((Double(x) / 0x1p32 - 0.5) * 2 * bound)
    }
  }

  /// Weights of a formula, as `Net.draw` of generate.py makes them.
  private static func writeDrawnWeights(_ json: JSONValue, to directory: String) throws {
    let family = try ModelFamilies.open(json) { $0 == "classifier.weight" }
    let request = GraphRequest(sequences: 1, positions: 1, head: family.storedHead, hasLoss: true)
    let parameters = try family.graph(request).parameters.sorted {
      $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
    }
    var writer = try SafetensorsWriter(
      path: "\(directory)/model.safetensors",
      tensors: parameters.map { parameter in
        TensorDescription(
          name: parameter.name,
          type: .f32,
          shape: family.storedShape(parameter.name, parameter.shape).dimensions
        )
      }
    )
    for (stream, parameter) in parameters.enumerated() {
      let (shape, count) = (parameter.shape, parameter.shape.elementCount)
      let bound = shape.rank > 1 ? (6 / Double(count / shape[0])).squareRoot() : 0.1
      let floats = drawn(stream, count: count, bound: bound)
      // SAFETY: floats have no padding.
      try unsafe writer.append(floats.span.bytes)
    }
    try writer.finish()
  }

  func floats(_ name: String) throws -> [Float] {
    let entry = try expected.entry(name)
    // SAFETY: F32 elements, copied while the file is mapped.
    return unsafe expected.bytes(of: entry).withMemoryRebound(to: Float.self) { unsafe Array($0) }
  }

  func trainer(
    _ optimizer: Optimizer = .sgd(),
    threads: Int = 2,
    passes: TrainingPasses = .all
  ) throws -> GradientTrainer {
    let workspace = try TrainerWorkspace(model, team: ThreadTeam(threads: threads))
    return GradientTrainer(workspace, optimizer: optimizer, passes: passes)
  }
}
