// Apache-2.0.
import Codecs
import FederatedCore
import SharedRandomness

/// Ferret: local first-order training, the difference projected on shared directions (Shu et al., 2025).
///
/// A block l of d_l parameters gets K_l directions z_k of ±1. The client sends ⟨z_k, Δ_l⟩, anybody
/// rebuilds Δ̂_l = (1/K_l) Σ_k ⟨z_k, Δ_l⟩ z_k, which is Δ_l on the average: 1/(ρK) for entries
/// ±1/√d, whose ρ is 1/d. The version moves by `rate` times the weighted mean over clients.
///
///     payload   a norm byte for each block, then the coordinates, block after block, low bits first
///
/// Budgets follow from the norm bytes and directions from the task, so neither travels.
struct Ferret: AlgorithmSession {
  static let name = "ferret"

  let settings: FerretSettings
  private let key: UInt64
  private var plan: FerretPlan?
  private var history = FerretHistory()

  init(_ configuration: JSONValue, key: UInt64) throws(AlgorithmError) {
    settings = try FerretSettings(configuration)
    self.key = key
  }

  /// A contribution says along which directions it lies: those of its own version.
  var acceptsStaleTasks: Bool { true }

  mutating func begin(_ blocks: [ParameterBlock]) throws {
    plan = try FerretPlan(settings, blocks: blocks, key: key)
  }

  func train(_ task: LocalTask, on trainer: inout any LocalTrainer) throws -> LocalResult {
    let plan = try plan ?? FerretPlan(settings, blocks: trainer.blocks, key: key)
    let (meanLoss, skipped) = try settings.local.run(task, on: &trainer)
    var difference: [Float] = []
    try trainer.difference(into: &difference)
    let (payload, clipped) = try plan.payload(of: difference, for: task)
    return LocalResult(
      payload: payload,
      meanLoss: meanLoss,
      skippedSteps: skipped,
      clippedSteps: clipped
    )
  }

  func check(_ payload: [UInt8], for task: LocalTask) throws {
    try begun().check(payload, for: task)
  }

  mutating func fold(_ contributions: [Contribution]) throws {
    let plan = try begun()
    var total = UInt64(0)
    var moves: [FerretHistory.Place: [FerretPlan.Move]] = [:]
    for contribution in contributions {
      let task = contribution.task
      total += UInt64(contribution.weight)
      guard task.round <= history.version, total <= UInt64(Contribution.aggregationWeight) else {
        throw AlgorithmError.payload(
          client: task.client,
          round: task.round,
          "not of a version before \(history.version + 1), or weights past the whole"
        )
      }
      for (block, added) in try plan.moves(contribution.payload, for: task) where !added.isEmpty {
        let place = FerretHistory.Place(round: task.round, block: block)
        moves[place, default: []] += added.map { move in
          FerretPlan.Move(
            direction: move.direction,
            amount: move.amount * Int64(contribution.weight)
          )
        }
      }
    }
    history.append(
      plan.updates(moves),
      payloadBytes: contributions.reduce(0) { $0 + $1.payload.count }
    )
  }

  func weightUpdates() throws -> [WeightUpdate] {
    guard history.version > 0 else { return [] }
    let plan = try begun()
    return history.rounds.flatMap { round in
      round.map { WeightUpdate.directions(plan.update($0)) }
    }
  }

  /// The terms of the round where they are shorter than the payloads they were made of.
  func advance() -> [UInt8]? {
    guard let bytes = history.lastRound, bytes.count < history.lastPayloadBytes else { return nil }
    return bytes
  }

  mutating func advance(by bytes: [UInt8]) throws {
    try history.append(encoded: bytes, begun())
  }

  func snapshot() -> [UInt8] { history.encoded }

  mutating func restore(_ snapshot: [UInt8]) throws {
    history = try FerretHistory(snapshot, begun())
  }

  func digest(base: Digest) -> Digest {
    var writer = ByteWriter()
    base.encode(into: &writer)
    writer.write(string: Self.name)
    writer.write(key)
    writer.write(UInt8(settings.isHadamard ? 1 : 0))
    writer.write(count: plan?.layout.ranges.count ?? 0)
    for exponent in plan?.scaleExponents ?? [] { writer.write(UInt8(exponent)) }
    writer.write(bytes: snapshot())
    return Digest.sha256(of: writer.bytes)
  }

  private func begun() throws(AlgorithmError) -> FerretPlan {
    guard let plan else {
      throw .setting("name", "ferret needs the shapes of the model before it folds or restores")
    }
    return plan
  }
}
