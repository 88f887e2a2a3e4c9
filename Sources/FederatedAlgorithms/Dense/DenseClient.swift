// Apache-2.0.
import Codecs
import FederatedCore

/// The client's half of the dense methods: local steps down the gradient, the way they went as integers.
struct DenseClient: Sendable, Equatable {
  let rule: LocalRule
  let rate: Float
  let codec: DeltaCodec
  /// Units of a contribution are 2^−exponent.
  let exponent: Int
  /// Whether what the codec leaves out is kept and added to the next task's way (error feedback).
  let keepsResidual: Bool

  /// An amount within which codecs work.
  static let bound: Int32 = 1 << 30
  /// Local steps of one task.
  static let maximumSteps = 4096

  static let keys = [
    "optimizer", "learning_rate", "momentum", "beta1", "beta2", "weight_decay", "epsilon", "gamma",
    "delta", "proximal", "clip_norm", "codec", "density", "error_feedback", "delta_exponent",
  ]

  init(_ settings: AlgorithmSettings, preset: DensePreset) throws(AlgorithmError) {
    let optimizer = try settings.word(
      "optimizer",
      of: ["sgd", "momentum", "adamw", "delta-sgd"],
      standard: preset.optimizer
    )
    let kind: LocalRule.Kind
    let standardRate: Double
    switch optimizer {
    case "momentum":
      kind = .momentum(Float(try settings.number("momentum", in: 0...1, standard: 0.9)))
      standardRate = 0.01
    case "adamw":
      kind = .adamW(
        beta1: Float(try settings.number("beta1", in: 0...0.9999, standard: 0.9)),
        beta2: Float(try settings.number("beta2", in: 0...0.99999, standard: 0.999)),
        decay: Float(try settings.number("weight_decay", in: 0...1, standard: 0.01)),
        epsilon: Float(try settings.number("epsilon", in: 1e-12...1, standard: 1e-8))
      )
      standardRate = 0.001
    case "delta-sgd":
      kind = .deltaSGD(
        gamma: Float(try settings.number("gamma", in: 1e-3...100, standard: 2)),
        delta: Float(try settings.number("delta", in: 0...10, standard: 0.1))
      )
      standardRate = 0.2
    default:
      kind = .sgd
      standardRate = 0.01
    }
    let norm = try settings.number("clip_norm", in: 0...1e6, standard: 0)
    if case .deltaSGD = kind, norm > 0 {
      throw .setting("clip_norm", "Δ-SGD needs gradients as they are; leave it out")
    }
    rule = LocalRule(
      kind,
      proximal: Float(try settings.number("proximal", in: 0...1e3, standard: preset.proximal)),
      clipNorm: norm > 0 ? Float(norm) : nil
    )
    rate = Float(try settings.number("learning_rate", in: 1e-9...100, standard: standardRate))
    codec = DeltaCodec(
      try settings.word("codec", of: DeltaCodec.names),
      density: try settings.number("density", in: 1e-6...1, standard: 0.05)
    )
    exponent = try settings.integer("delta_exponent", in: 8...30, standard: 28)
    keepsResidual = try settings.flag("error_feedback", standard: true) && !codec.isLossless
  }

  /// The local steps of a task and their result.
  func train(_ task: LocalTask, on trainer: inout any LocalTrainer) throws -> LocalResult {
    let (meanLoss, skipped) = try descend(task, on: &trainer)
    var way: [Float] = []
    try trainer.difference(into: &way)
    guard
      var amounts = IntegerKernels.fixedPoint(way, exponent: exponent, bound: Self.bound)
    else {
      throw AlgorithmError.diverged(
        client: task.client,
        round: task.round,
        "weights are not finite after \(task.steps) steps; lower learning_rate"
      )
    }
    if keepsResidual, let residual = residual(in: trainer.memory, count: amounts.count) {
      var target = amounts.mutableSpan
      IntegerKernels.add(residual.span, to: &target, bound: Self.bound)
    }
    let payload = codec.encode(&amounts)
    return LocalResult(
      payload: payload,
      meanLoss: meanLoss,
      skippedSteps: skipped,
      memory: keepsResidual ? DeltaCodec.fixed(bits: 32).encode(&amounts) : []
    )
  }

  /// The local steps of a task; their mean loss, and how many had none.
  func descend(_ task: LocalTask, on trainer: inout any LocalTrainer) throws
    -> (meanLoss: Float, skipped: Int)
  {
    try task.descend(by: rule, rate: rate, on: &trainer)
  }

  /// What an earlier task left out; nothing where it was lost or is damaged.
  private func residual(in memory: [UInt8], count: Int) -> [Int32]? {
    try? DeltaPayload(memory, codec: .fixed(bits: 32), count: count).decoded()
  }

  /// The payload of a task in a model of `count` trainable elements.
  ///
  /// - Parameter wholly: whether every chunk is decoded once, so that none can be refused later.
  func payload(
    _ payload: [UInt8],
    of task: LocalTask,
    count: Int,
    wholly: Bool
  ) throws(AlgorithmError) -> DeltaPayload {
    guard task.steps > 0, task.steps <= Self.maximumSteps else {
      throw .payload(
        client: task.client,
        round: task.round,
        "\(task.steps) steps; a task has 1 to \(Self.maximumSteps)"
      )
    }
    do throws(CodecError) {
      var payload = try DeltaPayload(payload, codec: codec, count: count)
      if wholly { try payload.check() }
      return payload
    } catch {
      throw .payload(client: task.client, round: task.round, "\(error)")
    }
  }
}
