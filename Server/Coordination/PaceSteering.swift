// Apache-2.0.
import FederatedCore

/// When clients that a round does not ask shall come back, after Bonawitz et al., 2019, section 2.3.
///
/// So many idle clients stay connected as stand-ins; the others are sent away until a later round begins.
/// As many are told one round as it can use, so that a great fleet spreads over many rounds instead of
/// coming at once.
struct PaceSteering: Sendable {
  private let surplus: Int?
  /// Mean duration of rounds, nil before the first has closed.
  private var span: Duration?
  private var begun: Duration = .zero
  /// Clients that were sent away and are not back.
  private var gone: Set<UInt32> = []
  /// Idle clients that stay.
  private var kept: Set<UInt32> = []
  /// Clients sent away in this round.
  private var dismissals = 0

  /// Nobody waits longer.
  private static let longest = Duration.seconds(3600)

  init(_ schedule: ScheduleSection) { surplus = schedule.surplus }

  /// Whether a client was sent away and is not back: nobody waits for it.
  func isGone(_ client: UInt32) -> Bool { gone.contains(client) }

  /// A round begins.
  mutating func begin(_ now: Duration) {
    begun = now
    kept = []
    dismissals = 0
  }

  /// A round is closed.
  mutating func close(_ now: Duration) {
    let last = now - begun
    span = span.map { ($0 * 3 + last) / 4 } ?? last
  }

  /// A client is there.
  mutating func back(_ client: UInt32) { gone.remove(client) }

  /// What becomes of clients that the open round does not ask, `idle` in the order in which they would
  /// stand in; `wanted` clients are asked in a round.
  mutating func steer(_ idle: [UInt32], wanted: Int, _ now: Duration) -> [SchedulerAction] {
    guard let surplus, let span else { return [] }
    var actions: [SchedulerAction] = []
    for client in idle where !kept.contains(client) {
      if kept.count < surplus {
        kept.insert(client)
        continue
      }
      let rounds = dismissals / max(1, wanted + surplus)
      dismissals += 1
      gone.insert(client)
      let rest = max(.seconds(1), begun + span - now)
      actions.append(.dismiss(client: client, after: min(Self.longest, rest + span * rounds)))
    }
    return actions
  }
}
