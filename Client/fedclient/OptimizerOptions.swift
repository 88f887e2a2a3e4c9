// Apache-2.0.
import CommandLineTool
import GraphCompiler

/// Options that say how weights follow gradients.
enum OptimizerOptions {
  static let names = "sgd|momentum|adamw|delta"

  static let all: [Option] = [
    .value("optimizer", names, "How weights follow gradients (adamw)."),
    .value("lr", "RATE", "Step size (0.05 of sgd, momentum and delta, 0.001 of adamw)."),
    .value("learning-rate", "RATE", "The same."),
    .value("momentum", "M", "Of momentum (0.9)."),
    .value("beta1", "B", "Of adamw (0.9)."),
    .value("beta2", "B", "Of adamw (0.999)."),
    .value("epsilon", "E", "Of adamw (1e-8)."),
    .value("weight-decay", "D", "Pull to zero (0.01 of adamw, 0 of sgd and momentum)."),
    .value("clip-norm", "N", "Greatest norm of all gradients together."),
    .value("clip-tensor-norm", "N", "Greatest norm of the gradient of each tensor."),
  ]
}

extension Arguments {
  /// The optimiser asked for.
  func optimizer() throws(CommandFailure) -> Optimizer {
    let decay = try number("weight-decay", in: 0...1)
    switch value("optimizer") ?? "adamw" {
    case "sgd": return .sgd(decay: decay ?? 0)
    case "momentum": return .momentum(try number("momentum", in: 0...1) ?? 0.9, decay: decay ?? 0)
    case "adamw":
      return .adamW(
        beta1: try number("beta1", in: 0...0.9999999) ?? 0.9,
        beta2: try number("beta2", in: 0...0.9999999) ?? 0.999,
        epsilon: try number("epsilon", in: 0...1) ?? 1e-8,
        decay: decay ?? 0.01
      )
    case "delta":
      guard decay == nil else { throw .usage("delta knows no --weight-decay") }
      return .delta()
    case let name: throw .usage("--optimizer \(name) is none of \(OptimizerOptions.names)")
    }
  }

  /// The step size asked for, or the usual one of the optimiser.
  func learningRate(of optimizer: Optimizer) throws(CommandFailure) -> Float {
    let usual: Float = if case .adamW = optimizer { 1e-3 } else { 0.05 }
    let long = try number("learning-rate", in: 0...1e6)
    return try number("lr", in: 0...1e6) ?? long ?? usual
  }

  /// The bound on gradients asked for.
  func clipping() throws(CommandFailure) -> Clipping {
    let (all, each) = (
      try number("clip-norm", in: 1e-30...1e30), try number("clip-tensor-norm", in: 1e-30...1e30)
    )
    switch (all, each) {
    case (nil, nil): return .none
    case (let norm?, nil): return .global(norm)
    case (nil, let norm?): return .perTensor(norm)
    default: throw .usage("either --clip-norm or --clip-tensor-norm")
    }
  }

  /// A decimal within bounds, nil where it was not given.
  func number(_ name: String, in range: ClosedRange<Float>) throws(CommandFailure) -> Float? {
    guard let number = try number(name) else { return nil }
    guard range.contains(Float(number)) else {
      throw .usage(
        "--\(name) \(number): expected a number from \(range.lowerBound) to \(range.upperBound)"
      )
    }
    return Float(number)
  }
}
