// Apache-2.0.
import Codecs
public import GraphCompiler
import Tensors

/// Layers over plain features, each with its bias: a multilayer perceptron, or without hidden layers
/// logistic regression.
///
///     {"model_type": "samara_mlp", "input_size": 64, "hidden_sizes": [32], "num_labels": 10,
///      "activation": "relu"}
///
/// Tensors are `layers.0.weight`, `layers.0.bias`, … of the hidden layers, `classifier.weight` and
/// `classifier.bias` of the last one; what the checkpoint lacks is made new.
public struct Perceptron: ModelFamily {
  /// `model_type` in `config.json`.
  public static let modelTypes = ["samara_mlp"]

  /// Features of an example.
  public let valueCount: Int
  /// There are no positions.
  public let maximumPositions = 1
  /// There are no tokens.
  public let vocabularyCount = 0
  /// The head the checkpoint was saved with.
  public let storedHead: ModelHead

  private let hiddenSizes: [Int]
  private let activation: Activation

  /// Reads the configuration.
  public init(_ settings: ModelSettings, hasTensor: (String) -> Bool) throws(ModelError) {
    valueCount = try settings.count("input_size")
    hiddenSizes = try settings.counts("hidden_sizes")
    let name = try settings.string("activation", default: "relu")
    switch name {
    case "relu": activation = .relu
    case "gelu": activation = .gelu
    case "silu": activation = .silu
    case "tanh": activation = .tanh
    default: throw .unsupported(key: "activation", value: name)
    }
    storedHead = .classifier(classes: try settings.count("num_labels"))
  }

  /// All of them.
  public var newTensors: [String] {
    hiddenSizes.indices.flatMap { ["layers.\($0).weight", "layers.\($0).bias"] }
      + ["classifier.weight", "classifier.bias"]
  }

  /// `architectures` of an exported `config.json`.
  public func architecture(_ head: ModelHead) -> String { "SamaraMLP" }

  /// Names are the same everywhere.
  public func exportName(_ name: String) -> String { name }

  /// The graph.
  public func graph(_ request: GraphRequest) throws(ModelError) -> Graph {
    if request.head == .languageModel {
      throw .head("a perceptron has no language-modeling head; choose classification")
    }
    return try building { () throws(GraphError) in
      var builder = GraphBuilder()
      var hidden = builder.input("values", ValueType([request.sequences, valueCount], .float))
      var width = valueCount
      for (index, size) in hiddenSizes.enumerated() {
        hidden = try builder.linear(
          hidden,
          builder.parameter("layers.\(index).weight", [size, width]),
          bias: builder.parameter("layers.\(index).bias", [size]),
          activation: activation,
          residual: nil
        )
        width = size
      }
      guard case .classifier(let classes) = request.head else {
        return builder.finish(outputs: [("hidden", hidden)])
      }
      let weight = try builder.parameter("classifier.weight", [classes, width])
      let bias = try builder.parameter("classifier.bias", [classes])
      return try builder.finish(hidden, weight, bias: bias, request)
    }
  }
}
