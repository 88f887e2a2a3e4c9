// Apache-2.0.
import Codecs
import FederatedCore
import SharedRandomness

/// Just One Byte: every step takes a direction of its own (Zelikman et al., 2023).
///
/// Each round has a bank of independent directions, the row named by client and step. The state is
/// the history itself: one byte a step and a weight a client. The published method divides by the
/// square root of the number of scalars; here clients are averaged by weight, as in FedKSeed.
struct OneByte: AlgorithmSession {
  static let name = "onebyte"

  /// One client's part of a folded round.
  private struct Part: Equatable {
    let client: UInt32
    let weight: UInt32
    let payload: [UInt8]
  }

  private let step: ZerothOrderStep
  private let key: UInt64
  /// Parts of each folded round in order of client.
  private var rounds: [[Part]] = []

  private static let limit = 1 << 16

  init(_ configuration: JSONValue, key: UInt64) throws(AlgorithmError) {
    let settings = try AlgorithmSettings(configuration, known: ["steps"] + ZerothOrderStep.keys)
    step = try ZerothOrderStep(settings)
    self.key = key
  }

  /// The state is the rounds themselves.
  var acceptsStaleTasks: Bool { false }

  func train(_ task: LocalTask, on trainer: inout any LocalTrainer) throws -> LocalResult {
    try step.train(task, key: key, on: &trainer) { index in
      Direction(bank: bank(task.round), index: Self.row(task.client, index))
    }
  }

  func check(_ payload: [UInt8], for task: LocalTask) throws {
    guard task.client < Self.limit else {
      throw AlgorithmError.payload(
        client: task.client,
        round: task.round,
        "one-byte runs number at most \(Self.limit) clients"
      )
    }
    try step.check(payload, for: task)
  }

  mutating func fold(_ contributions: [Contribution]) throws {
    var parts: [Part] = []
    for contribution in contributions.sorted(by: { $0.task.client < $1.task.client }) {
      try check(contribution.payload, for: contribution.task)
      guard
        contribution.task.round == UInt32(rounds.count),
        contribution.weight <= Contribution.aggregationWeight,
        parts.last?.client != contribution.task.client
      else {
        throw AlgorithmError.payload(
          client: contribution.task.client,
          round: contribution.task.round,
          "not a single weighted payload of round \(rounds.count)"
        )
      }
      parts.append(
        Part(
          client: contribution.task.client,
          weight: contribution.weight,
          payload: contribution.payload
        )
      )
    }
    rounds.append(parts)
  }

  func weightUpdates() throws -> [WeightUpdate] {
    rounds.enumerated().map { round, parts in
      var terms: [DirectionUpdate.Term] = []
      for part in parts {
        for (index, byte) in part.payload.enumerated() {
          let exact = Int64(part.weight) * Int64(step.amount(of: byte))
          let amount = Int32((exact + Int64(Contribution.aggregationWeight) / 2) >> 16)
          if amount != 0 {
            terms.append(.init(direction: Self.row(part.client, UInt32(index)), amount: amount))
          }
        }
      }
      return .directions(
        DirectionUpdate(
          bank: bank(UInt32(round)),
          scaleExponent: step.scaleExponent,
          terms: terms
        )
      )
    }
  }

  func snapshot() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(count: rounds.count)
    for parts in rounds {
      writer.write(count: parts.count)
      for part in parts {
        writer.writeVarint(UInt64(part.client))
        writer.writeVarint(UInt64(part.weight))
        writer.write(count: part.payload.count)
        writer.write(bytes: part.payload)
      }
    }
    return writer.bytes
  }

  mutating func restore(_ snapshot: [UInt8]) throws {
    var restored = self
    restored.rounds = []
    do {
      var reader = ByteReader(snapshot)
      for round in 0..<(try reader.readCount(limit: 1 << 24 - 1, field: "rounds")) {
        var contributions: [Contribution] = []
        for _ in 0..<(try reader.readCount(limit: Self.limit, field: "contributions")) {
          let client = try reader.readCount(limit: Self.limit - 1, field: "client")
          let weight = try reader.readCount(limit: Self.limit, field: "weight")
          let steps = try reader.readCount(limit: ZerothOrderStep.maximumSteps, field: "steps")
          contributions.append(
            Contribution(
              task: LocalTask(round: UInt32(round), client: UInt32(client), steps: steps),
              weight: UInt32(weight),
              payload: Array(try reader.readBytes(steps))
            )
          )
        }
        try restored.fold(contributions)
      }
      try reader.finish()
    } catch {
      throw AlgorithmError.snapshot("\(error)")
    }
    self = restored
  }

  func digest(base: Digest) -> Digest {
    var hasher = SHA256()
    hasher.update(base.bytes)
    var writer = ByteWriter()
    writer.write(string: Self.name)
    writer.write(key)
    writer.write(UInt8(step.scaleExponent))
    hasher.update(writer.bytes)
    hasher.update(snapshot())
    return hasher.finalize()
  }

  private func bank(_ round: UInt32) -> DirectionBank {
    DirectionBank(family: .independent, key: key, epoch: round)
  }

  private static func row(_ client: UInt32, _ step: UInt32) -> UInt32 { client << 16 | step }
}
