// Apache-2.0.
import GraphCompiler
import Tensors

/// What the families of transformers build alike, by the names of their checkpoints.
extension GraphBuilder {
  /// y = f(x · Wᵀ + b) + residual, of `name.weight` and `name.bias`.
  mutating func dense(
    _ x: ValueID,
    _ name: String,
    _ shape: Shape,
    hasBias: Bool = true,
    activation: Activation = .identity,
    residual: ValueID? = nil
  ) throws(GraphError) -> ValueID {
    try linear(
      x,
      parameter("\(name).weight", shape),
      bias: hasBias ? parameter("\(name).bias", [shape[0]]) : nil,
      activation: activation,
      residual: residual
    )
  }

  /// The head of a decoder above its last norm: a table of tokens, or `score` on the last token.
  mutating func finishDecoder(
    _ hidden: ValueID,
    lengths: ValueID,
    table: ParameterID,
    isTied: Bool,
    _ request: GraphRequest
  ) throws(GraphError) -> Graph {
    let shape = self.shape(of: table)
    switch request.head {
    case .hidden:
      return finish(outputs: [("hidden", hidden)])
    case .languageModel:
      let output = try isTied ? table : parameter("lm_head.weight", shape)
      return try finish(hidden, output, bias: nil, request)
    case .classifier(let classes):
      let last = try row(.last, of: hidden, lengths: lengths)
      let output = try parameter("score.weight", [classes, shape[1]])
      return try finish(last, output, bias: nil, request)
    }
  }

  /// Ends a graph in logits, or in losses and predictions.
  mutating func finish(
    _ x: ValueID,
    _ weight: ParameterID,
    bias: ParameterID?,
    _ request: GraphRequest
  ) throws(GraphError) -> Graph {
    guard request.hasLoss else {
      let logits = try linear(x, weight, bias: bias)
      return finish(outputs: [("logits", logits)])
    }
    let rows = type(of: x).shape.rows
    let labels = input("labels", ValueType([rows], .integer))
    let made = try crossEntropy(x, weight, bias: bias, labels: labels)
    return finish(outputs: [("losses", made.losses), ("predictions", made.predictions)])
  }
}
