// Apache-2.0.
import FederatedCore
import Glibc
import SharedRandomness
import Telemetry

/// Tiers of like speed: synchronous rounds within a tier, asynchronous across.
///
/// FedAT (Chai et al., 2021), with tiers by measured speed as in TiFL (Chai et al., 2020).
///
/// Whoever is new gets a first task, which measures its time a step; clients of known speed are ranked
/// and cut into tiers of equal size anew for every round. A tier's round is a version; so that fast tiers
/// do not outvote slow ones, tier m of M weighs as often as tier M + 1 − m has counted:
///
///     w ← w − α · (T[M+1−m] + 1) / (ΣT + M) · Σ pᵢ Δᵢ (1 + sᵢ)^−a,   pᵢ shares of the round's examples
struct TieredScheduler: Scheduler {
  static let name = "tiered"
  static let dropsOpenTasks = false

  /// A round of one tier, or of newcomers.
  private struct Round {
    var open: Set<UInt32>
    var arrived: [TaskKey] = []
    /// When it closes with what is here.
    var deadline: Duration
  }

  private let settings: AsynchronySection
  private let tiers: Int
  /// Clients asked in a round.
  private let cohort: Int
  private let steps: Int
  private let key: UInt64
  private let patience: Duration

  private var hasBegun = false
  private var version: UInt32 = 0
  private var present: Set<UInt32> = []
  private var examples: [UInt32: UInt64] = [:]
  private var awaySince: [UInt32: Duration] = [:]
  /// Seconds of the latest tasks of a client, a moving mean; unknown for newcomers.
  private var spans: [UInt32: Double] = [:]
  private var started: [UInt32: Duration] = [:]
  /// The version each client's latest task started from.
  private var latest: [UInt32: UInt32] = [:]
  /// By tier, fastest first; newcomers behind the slowest.
  private var rounds: [Int: Round] = [:]
  /// Results whose round had closed: they go into the next version.
  private var late: [TaskKey] = []
  /// Rounds that each tier has closed.
  private var counts: [Int]
  /// When clients are asked once more, where nobody is at work any longer.
  private var retry: Duration?

  init(_ schedule: ScheduleSection, steps: Int, key: UInt64) {
    let settings = schedule.asynchrony ?? AsynchronySection(steps: steps, clients: schedule.clients)
    self.settings = settings
    tiers = max(1, min(settings.tiers, schedule.clients))
    cohort = max(1, schedule.clients / tiers)
    self.steps = steps
    self.key = key
    patience = schedule.deadline
    counts = [Int](repeating: 0, count: tiers)
  }

  mutating func handle(_ event: SchedulerEvent, now: Duration) -> [SchedulerAction] {
    switch event {
    case .begin(let round, _, let tasks, let arrived):
      version = round
      if !hasBegun { resume(tasks, arrived, now) }
    case .present(let client, let count):
      present.insert(client)
      examples[client] = count
      awaySince[client] = nil
    case .away(let client):
      present.remove(client)
      awaySince[client] = now
    case .arrived(let task): arrive(task, now)
    case .failed(let client): for tier in rounds.keys { rounds[tier]?.open.remove(client) }
    case .timer: break
    }
    guard hasBegun else { return [] }
    for tier in rounds.keys {
      let awaited = stillAwaited(in: tier, now)
      rounds[tier]?.open = awaited
    }
    // `begin` follows an aggregation; then the next tier that is complete has its turn.
    return close(now) ?? fill(now)
  }

  var nextDeadline: Duration? {
    let leases = rounds.values.flatMap(\.open).compactMap { awaySince[$0] }.map {
      $0 + settings.lease
    }
    return (rounds.values.map(\.deadline) + leases + [retry].compactMap { $0 }).min()
  }

  var waitingFor: String? {
    guard hasBegun, rounds.values.allSatisfy({ $0.open.isDisjoint(with: present) }) else {
      return nil
    }
    return "nobody present is at work"
  }

  /// What a restart found: who is at work counts as new, since speeds were not kept.
  private mutating func resume(_ tasks: [TaskKey], _ arrived: [TaskKey], _ now: Duration) {
    hasBegun = true
    for task in tasks + arrived { latest[task.client] = task.base }
    late = arrived
    guard !tasks.isEmpty else { return }
    for task in tasks where !present.contains(task.client) && awaySince[task.client] == nil {
      awaySince[task.client] = now
    }
    rounds[tiers] = Round(open: Set(tasks.map(\.client)), deadline: now + patience)
  }

  private mutating func arrive(_ task: TaskKey, _ now: Duration) {
    if let start = started.removeValue(forKey: task.client) {
      let span = (now - start).inSeconds
      let m = settings.speedMomentum
      spans[task.client] = spans[task.client].map { (1 - m) * $0 + m * span } ?? span
    }
    guard let tier = rounds.first(where: { $0.value.open.contains(task.client) })?.key else {
      late.append(task)
      return
    }
    rounds[tier]?.open.remove(task.client)
    rounds[tier]?.arrived.append(task)
  }

  private func stillAwaited(in tier: Int, _ now: Duration) -> Set<UInt32> {
    (rounds[tier]?.open ?? []).filter { client in
      awaySince[client].map { now < $0 + settings.lease } ?? true
    }
  }

  /// Closes the first tier whose round is over, nil where none is.
  private mutating func close(_ now: Duration) -> [SchedulerAction]? {
    for tier in rounds.keys.sorted() {
      guard let round = rounds[tier], round.open.isEmpty || now >= round.deadline else { continue }
      if round.arrived.isEmpty {
        if round.open.isEmpty {
          rounds[tier] = nil
        } else {
          rounds[tier]?.deadline = now + patience
        }
        continue
      }
      rounds[tier] = nil
      return aggregate(round.arrived, of: tier)
    }
    // Nobody is at work: late results wait for no round.
    guard rounds.isEmpty, !late.isEmpty else { return nil }
    return aggregate([], of: tiers)
  }

  private mutating func aggregate(_ arrived: [TaskKey], of tier: Int) -> [SchedulerAction] {
    let counted = late + arrived
    late = []
    let weight: Double
    if tier < tiers {
      let total = Double(counts.reduce(0, +) + tiers)
      weight = Double(counts[tiers - 1 - tier] + 1) / total
      counts[tier] += 1
    } else {
      weight = 1 / Double(tiers)
    }
    let all = Double(counted.reduce(0) { $0 + (examples[$1.client] ?? 1) })
    let factors = counted.map { task in
      let staleness = Double(version - task.base)
      let share = Double(examples[task.client] ?? 1) / all
      return settings.alpha * weight * share * pow(1 + staleness, -settings.stalenessExponent)
    }
    return [.aggregate(counted, .factors(factors))]
  }

  /// Opens a round in every tier that has none and somebody to ask.
  private mutating func fill(_ now: Duration) -> [SchedulerAction] {
    let working = rounds.values.reduce(into: Set<UInt32>()) { $0.formUnion($1.open) }
    // Asked once more from the same version it is the same task, which only makes sense where it was
    // given up and nothing else goes on.
    let isRetry = retry.map { now >= $0 } ?? false
    let idle = present.filter { client in
      !working.contains(client) && (latest[client] != version || isRetry)
    }
    let ranked = spans.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map(\.key)
    var actions: [SchedulerAction] = []
    for tier in 0...tiers where rounds[tier] == nil {
      let members: [UInt32]
      if tier == tiers {
        members = idle.filter { spans[$0] == nil }.sorted()
      } else {
        let range = ranked.count * tier / tiers..<ranked.count * (tier + 1) / tiers
        members = drawn(ranked[range].filter { idle.contains($0) }, tier)
      }
      guard !members.isEmpty else { continue }
      rounds[tier] = Round(open: Set(members), deadline: now + patience)
      for client in members {
        latest[client] = version
        started[client] = now
        actions.append(.assign(client: client, steps: steps))
      }
    }
    retry = rounds.isEmpty && !present.isEmpty ? now + min(.seconds(30), patience / 4) : nil
    return actions
  }

  /// As many as a round asks, drawn for the version.
  private func drawn(_ members: [UInt32], _ tier: Int) -> [UInt32] {
    guard members.count > cohort else { return members.sorted() }
    var stream = RandomStream(
      key: key &+ UInt64(tier),
      purpose: .clientSelection,
      round: version
    )
    return stream.permutation(of: members.count).prefix(cohort).map { members[$0] }
  }
}
