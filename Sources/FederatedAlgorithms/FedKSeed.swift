// Apache-2.0.
import Codecs
import FederatedCore
import SharedRandomness

/// FedKSeed: K shared directions, one accumulator each (Qin et al., ICML 2024).
///
/// A client's step takes a derived direction; the server adds the weighted scalars to the
/// accumulators. One rounding an accumulator a round, after the exact sum over clients, so order
/// does not matter and the state stays K small integers.
struct FedKSeed: SeededSession {
  static let name = "fedkseed"

  let step: ZerothOrderStep
  let bank: DirectionBank
  let count: Int
  let keepsHistory: Bool
  let key: UInt64
  var state: SeedState

  init(_ configuration: JSONValue, key: UInt64) throws(AlgorithmError) {
    let settings = try AlgorithmSettings(
      configuration,
      known: ["seeds", "family", "probability", "steps"] + ZerothOrderStep.keys
    )
    step = try ZerothOrderStep(settings)
    count = try settings.integer("seeds", in: 1...(1 << 16), standard: 4096)
    keepsHistory = try settings.word("probability", of: ["uniform", "pro"]) == "pro"
    bank = try settings.bank(count: count, key: key)
    self.key = key
    state = SeedState(count: count, keepsHistory: keepsHistory)
  }

  /// Pro's draws follow the version a task started from, which is gone when a late one is folded.
  var acceptsStaleTasks: Bool { !keepsHistory }

  func train(_ task: LocalTask, on trainer: inout any LocalTrainer) throws -> LocalResult {
    let draw = SeedDraw(key: key, task: task, state: state)
    let current = bank.of(epoch: state.epoch)
    return try step.train(task, key: key, on: &trainer) { index in
      Direction(bank: current, index: draw.seed(at: index))
    }
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
        if keepsHistory, byte != OneByteCode.skipped.byte { slopes.append((seed, byte)) }
      }
      sums[epoch] = moves
    }
    let half = Int64(Contribution.aggregationWeight) / 2
    try state.add(sums.mapValues { $0.map { ($0 + half) >> 16 } })
    for slope in slopes { state.remember(slope.seed, OneByteCode(byte: slope.byte).value) }
  }
}
