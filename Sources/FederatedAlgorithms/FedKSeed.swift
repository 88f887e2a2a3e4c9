// Apache-2.0.
import Codecs
import FederatedCore
import SharedRandomness

/// FedKSeed: K shared directions, one accumulator each (Qin et al., ICML 2024).
///
/// A client's step takes a derived direction; the server adds the weighted scalars to the
/// accumulators. One rounding an accumulator a round, after the exact sum over clients, so order
/// does not matter and the state stays K small integers.
struct FedKSeed: AlgorithmSession {
  static let name = "fedkseed"

  private let step: ZerothOrderStep
  private let bank: DirectionBank
  private let count: Int
  private let pro: Bool
  private let key: UInt64
  private var state: SeedState

  init(_ configuration: JSONValue, key: UInt64) throws(AlgorithmError) {
    let settings = try AlgorithmSettings(
      configuration,
      known: ["seeds", "family", "probability", "steps"] + ZerothOrderStep.keys
    )
    step = try ZerothOrderStep(settings)
    count = try settings.integer("seeds", in: 1...(1 << 16), standard: 4096)
    pro = try settings.word("probability", of: ["uniform", "pro"]) == "pro"
    bank = try settings.bank(count: count, key: key)
    self.key = key
    state = SeedState(count: count, keepsHistory: pro)
  }

  /// Pro's draws follow the version a task started from, which is gone when a late one is folded.
  var acceptsStaleTasks: Bool { !pro }

  func train(_ task: LocalTask, on trainer: inout any LocalTrainer) throws -> LocalResult {
    let draw = SeedDraw(key: key, task: task, state: state)
    let current = bank.of(epoch: state.epoch)
    return try step.train(task, key: key, on: &trainer) { index in
      Direction(bank: current, index: draw.seed(at: index))
    }
  }

  func check(_ payload: [UInt8], for task: LocalTask) throws {
    try step.check(payload, for: task)
  }

  mutating func fold(_ contributions: [Contribution]) throws {
    var sums: [Int: [Int64]] = [:]
    var slopes = [(seed: Int, byte: UInt8)]()
    for contribution in contributions {
      try check(contribution.payload, for: contribution.task)
      guard contribution.weight <= Contribution.aggregationWeight else {
        throw AlgorithmError.payload(
          client: contribution.task.client,
          round: contribution.task.round,
          "weight \(contribution.weight) is past \(Contribution.aggregationWeight)"
        )
      }
      let epoch = state.epoch(of: contribution.task.round)
      let draw = SeedDraw(key: key, task: contribution.task, state: state)
      var moves = sums.removeValue(forKey: epoch) ?? [Int64](repeating: 0, count: count)
      for (index, byte) in contribution.payload.enumerated() where byte != 0 {
        let seed = Int(draw.seed(at: UInt32(index)))
        moves[seed] += Int64(contribution.weight) * Int64(step.amount(of: byte))
        if pro, byte != OneByteCode.skipped.byte { slopes.append((seed, byte)) }
      }
      sums[epoch] = moves
    }
    let half = Int64(Contribution.aggregationWeight) / 2
    try state.add(sums.mapValues { $0.map { ($0 + half) >> 16 } })
    for slope in slopes { state.remember(slope.seed, OneByteCode(byte: slope.byte).value) }
  }

  func weightUpdates() throws -> [WeightUpdate] {
    state.weightUpdates(bank, scaleExponent: step.scaleExponent)
  }

  func snapshot() -> [UInt8] {
    var writer = ByteWriter()
    state.encode(into: &writer)
    return writer.bytes
  }

  mutating func restore(_ snapshot: [UInt8]) throws {
    state = try SeedState(snapshot, count: count, keepsHistory: pro)
  }

  func digest(base: Digest) -> Digest {
    state.digest(base: base, name: Self.name, key: key, bank, scaleExponent: step.scaleExponent)
  }
}
