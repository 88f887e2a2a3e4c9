// Apache-2.0.
public import Codecs
public import GraphCompiler
public import Tensors

/// What stands on top of the body of a model.
public enum ModelHead: Sendable, Hashable {
  /// Nothing: the hidden states of every position.
  case hidden
  /// Logits of the next token at every position.
  case languageModel
  /// Logits of one class a sequence.
  case classifier(classes: Int)
}

/// Which graph of a model is wanted.
public struct GraphRequest: Sendable, Hashable {
  /// Sequences of a batch, B.
  public let sequences: Int
  /// Positions of a sequence, T.
  public let positions: Int
  /// The head.
  public let head: ModelHead
  /// Whether the graph ends in losses and predictions (input `labels`) instead of logits.
  public let hasLoss: Bool
  /// Whether positions after a sequence's end are attended from, as other frameworks do.
  public let computesPadding: Bool

  /// A request.
  public init(
    sequences: Int,
    positions: Int,
    head: ModelHead,
    hasLoss: Bool,
    computesPadding: Bool = false
  ) {
    self.sequences = sequences
    self.positions = positions
    self.head = head
    self.hasLoss = hasLoss
    self.computesPadding = computesPadding
  }
}

/// Extents of pictures.
public struct ImageExtents: Sendable, Hashable {
  /// Rows of pixels.
  public let height: Int
  /// Columns of pixels.
  public let width: Int
  /// Channels of a pixel.
  public let channels: Int
}

/// A family of models: reads its configuration, builds its graphs.
///
/// A family that is added needs its file and its line in `ModelFamilies`.
///
/// Graphs have the inputs `input_ids` [B, T] and `lengths` [B] (positions before the right padding),
/// or, without tokens, `values` [B, F] or [B·H·W, C] with `valueCount` elements a sequence, and `labels`
/// ([B·T], or [B] of a classifier; negative: does not count) where a loss is asked for.
/// Outputs are `logits`, or `hidden` and `pooled`, or `losses` and `predictions`.
public protocol ModelFamily: Sendable {
  /// `model_type` in `config.json`.
  static var modelTypes: [String] { get }

  /// Reads the configuration.
  ///
  /// - Parameters:
  ///   - settings: `config.json`.
  ///   - hasTensor: whether the checkpoint has a tensor of a name, for prefixes and tied weights.
  /// - Throws: `ModelError`, also for settings that change the mathematics unnoticed.
  init(_ settings: ModelSettings, hasTensor: (String) -> Bool) throws(ModelError)

  /// Most positions a sequence may have; 1 where it has no tokens.
  var maximumPositions: Int { get }

  /// Rows of the token table; 0 where there is none.
  var vocabularyCount: Int { get }

  /// Features or pixel channels of an example; 0 where it has tokens.
  var valueCount: Int { get }

  /// Extents of the pictures an example is; nil where it is none.
  var imageExtents: ImageExtents? { get }

  /// The head the checkpoint was saved with.
  var storedHead: ModelHead { get }

  /// Tensors of a head that may be made new where the checkpoint lacks them.
  var newTensors: [String] { get }

  /// `architectures` of an exported `config.json` with this head.
  func architecture(_ head: ModelHead) -> String

  /// The name transformers gives a tensor in a checkpoint with that architecture.
  func exportName(_ name: String) -> String

  /// Whether checkpoints hold a matrix as [inputs, outputs], the other way round than graphs do.
  func isTransposed(_ name: String) -> Bool

  /// Extents of a parameter in checkpoints that do not turn it.
  func storedShape(_ name: String, _ shape: Shape) -> Shape

  /// The batch norm to fold into a parameter when it is read.
  func foldedNorm(_ name: String) -> FoldedNorm?

  /// The graph.
  func graph(_ request: GraphRequest) throws(ModelError) -> Graph
}

extension ModelFamily {
  /// Most checkpoints hold [outputs, inputs].
  public func isTransposed(_: String) -> Bool { false }

  /// Most have those of the graph.
  public func storedShape(_: String, _ shape: Shape) -> Shape { shape }

  /// Most have none.
  public func foldedNorm(_: String) -> FoldedNorm? { nil }

  /// None: most families read tokens.
  public var valueCount: Int { 0 }

  /// None: most families read no pictures.
  public var imageExtents: ImageExtents? { nil }
}

/// Every family, one line each.
public enum ModelFamilies {
  private static let all: [any ModelFamily.Type] = [
    Decoder.self,
    BERT.self,
    GPT2.self,
    Perceptron.self,
    ConvolutionalNetwork.self,
  ]

  /// The family of a configuration.
  ///
  /// - Throws: `ModelError.unknownFamily`, and what the family refuses.
  public static func open(
    _ configuration: JSONValue,
    hasTensor: (String) -> Bool
  ) throws(ModelError) -> any ModelFamily {
    let settings = ModelSettings(configuration)
    try settings.refuseStrangers()
    let name = try settings.string("model_type")
    guard let family = all.first(where: { $0.modelTypes.contains(name) }) else {
      throw .unknownFamily(name, known: all.flatMap { $0.modelTypes })
    }
    return try family.init(settings, hasTensor: hasTensor)
  }
}

/// Runs builder steps, whose failures mean a configuration that contradicts itself.
func building<Value>(_ body: () throws(GraphError) -> Value) throws(ModelError) -> Value {
  do { return try body() } catch { throw .graph("\(error)") }
}
