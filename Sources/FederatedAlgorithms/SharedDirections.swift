// Apache-2.0.
import Codecs
import FederatedCore
import SharedRandomness

/// Shared directions: all clients of a round measure the same directions (DeComFL, Li et al., 2024).
///
/// A round is a table of scalars, a row a client and a column a direction, all taken at the weights
/// the round begins with. Columns are averaged by weight, or with `trim` robustly: the trimmed mean
/// drops that share of the largest and of the smallest of each column and weighs the rest equally
/// (Yin et al., 2018; for scalars CyBeR-0, Egger et al., 2025).
struct SharedDirections: SeededSession {
  static let name = "shared-directions"

  let step: ZerothOrderStep
  let bank: DirectionBank
  let count: Int
  let keepsHistory = false
  private let trim: Double
  let key: UInt64
  var state: SeedState

  init(_ configuration: JSONValue, key: UInt64) throws(AlgorithmError) {
    let settings = try AlgorithmSettings(
      configuration,
      known: ["seeds", "family", "trim", "steps"] + ZerothOrderStep.keys
    )
    step = try ZerothOrderStep(settings)
    count = try settings.integer("seeds", in: 1...(1 << 16), standard: 4096)
    trim = try settings.number("trim", in: 0...0.49, standard: 0)
    bank = try settings.bank(count: count, key: key)
    self.key = key
    state = SeedState(count: count, keepsHistory: false)
  }

  /// A row of the table belongs to one round.
  var acceptsStaleTasks: Bool { false }

  func train(_ task: LocalTask, on trainer: inout any LocalTrainer) throws -> LocalResult {
    let draw = self.draw(task.round, steps: task.steps)
    let current = bank.of(epoch: state.epoch)
    return try step.train(task, key: key, on: &trainer, moves: false) { index in
      Direction(bank: current, index: draw.seed(at: index))
    }
  }

  mutating func fold(_ contributions: [Contribution]) throws {
    guard let round = contributions.first?.task.round else { return try state.add([:]) }
    for contribution in contributions {
      try check(contribution.payload, for: contribution.task)
      guard contribution.task.round == round,
        contribution.weight <= Contribution.aggregationWeight
      else {
        throw AlgorithmError.payload(
          client: contribution.task.client,
          round: contribution.task.round,
          "not a weighted row of round \(round)"
        )
      }
    }
    let columns = contributions.map(\.payload.count).max() ?? 0
    let draw = self.draw(round, steps: columns)
    var moves = [Int64](repeating: 0, count: count)
    for column in 0..<columns {
      moves[Int(draw.seed(at: UInt32(column)))] += move(of: column, contributions)
    }
    try state.add([Int(state.epoch): moves])
  }

  /// The mean of a column, in the integers of the state.
  private func move(of column: Int, _ rows: [Contribution]) -> Int64 {
    let cells = rows.compactMap { row -> (amount: Int64, weight: Int64)? in
      // Steps may differ by client; skipped ones say nothing.
      guard column < row.payload.count, row.payload[column] != OneByteCode.skipped.byte else {
        return nil
      }
      return (Int64(step.amount(of: row.payload[column])), Int64(row.weight))
    }
    guard trim > 0 else {
      let half = Int64(Contribution.aggregationWeight) / 2
      return (cells.reduce(0) { $0 + $1.amount * $1.weight } + half) >> 16
    }
    let dropped = Int(trim * Double(cells.count))
    let kept = cells.map(\.amount).sorted().dropFirst(dropped).dropLast(dropped)
    guard !kept.isEmpty else { return 0 }
    return Self.rounded(kept.reduce(0, +), by: Int64(kept.count))
  }

  /// sum / count, rounded half up.
  private static func rounded(_ sum: Int64, by count: Int64) -> Int64 {
    let (quotient, remainder) = (2 * sum + count).quotientAndRemainder(dividingBy: 2 * count)
    return remainder < 0 ? quotient - 1 : quotient
  }

  /// The directions of a round: those of a client that cannot be.
  private func draw(_ round: UInt32, steps: Int) -> SeedDraw {
    SeedDraw(
      key: key,
      task: LocalTask(round: round, client: .max, steps: steps),
      state: state
    )
  }
}
