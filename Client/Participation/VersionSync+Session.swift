// Apache-2.0.
import FederatedCore
import WireProtocol

extension VersionSync {
  /// Brings `session` from `version` to the version the task starts from.
  ///
  /// - Throws: `ParticipationFailure`, or what the algorithm refuses; `session` is then in doubt.
  func apply(to session: inout any AlgorithmSession, at version: UInt32) throws {
    switch self {
    case .none: return
    case .snapshot(let blob): try session.restore(blob.bytes)
    case .advances(let first, let rounds):
      guard first == version else {
        throw ParticipationFailure("advances from \(first) on for a client at \(version)")
      }
      for round in rounds { try session.advance(by: round.bytes) }
    case .rounds(let first, let rounds):
      guard first == version else {
        throw ParticipationFailure("rounds from \(first) on for a client at \(version)")
      }
      for parts in rounds {
        try session.fold(
          parts.map { part in
            Contribution(
              task: LocalTask(round: part.base, client: part.client, steps: Int(part.steps)),
              weight: part.weight,
              payload: part.payload
            )
          }
        )
      }
    }
  }
}
