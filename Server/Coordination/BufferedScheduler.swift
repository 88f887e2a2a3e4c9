// Apache-2.0.
import FederatedCore
import Glibc
import SharedRandomness

/// FedBuff (Nguyen et al., 2022): so many clients always at work, a version for every K results.
///
/// w ← w − α/K · Σ Δᵢ (1 + sᵢ)^−a. Who is done makes room for the next of a drawn order; nobody gets
/// two tasks from one version.
struct BufferedScheduler: Scheduler {
  static let name = "fedbuff"
  static let dropsOpenTasks = false
  private var pool: WorkerPool
  private let settings: AsynchronySection

  init(_ schedule: ScheduleSection, steps: Int, key: UInt64) {
    settings = schedule.asynchrony ?? AsynchronySection(steps: steps, clients: schedule.clients)
    pool = WorkerPool(
      concurrency: max(schedule.clients, settings.buffer),
      buffer: settings.buffer,
      steps: steps,
      lease: settings.lease,
      key: key
    )
  }

  mutating func handle(_ event: SchedulerEvent, now: Duration) -> [SchedulerAction] {
    let settings = settings
    return pool.handle(event, now: now) { staleness, count in
      settings.alpha * pow(1 + Double(staleness), -settings.stalenessExponent) / Double(count)
    }
  }

  var nextDeadline: Duration? { pool.nextDeadline }
  var waitingFor: String? { pool.waitingFor }
}

/// FedAsync (Xie et al., 2019) in deltas: every result makes a version.
///
/// w ← w − α (1 + s)^−a p Δ, p the inverse of the clients at work, so that as many results as there
/// are clients move the model as far as one synchronous round.
struct AsynchronousScheduler: Scheduler {
  static let name = "fedasync"
  static let dropsOpenTasks = false
  private var pool: WorkerPool
  private let settings: AsynchronySection
  private let clients: Int

  init(_ schedule: ScheduleSection, steps: Int, key: UInt64) {
    settings = schedule.asynchrony ?? AsynchronySection(steps: steps, clients: schedule.clients)
    clients = schedule.clients
    pool = WorkerPool(
      concurrency: schedule.clients,
      buffer: 1,
      steps: steps,
      lease: settings.lease,
      key: key
    )
  }

  mutating func handle(_ event: SchedulerEvent, now: Duration) -> [SchedulerAction] {
    let (settings, clients) = (settings, clients)
    return pool.handle(event, now: now) { staleness, _ in
      settings.alpha * pow(1 + Double(staleness), -settings.stalenessExponent) / Double(clients)
    }
  }

  var nextDeadline: Duration? { pool.nextDeadline }
  var waitingFor: String? { pool.waitingFor }
}

/// A fixed number of clients at work, replaced as they are done.
struct WorkerPool: Sendable {
  private let concurrency: Int
  private let buffer: Int
  private let steps: Int
  private let lease: Duration
  private let key: UInt64

  private var hasBegun = false
  private var version: UInt32 = 0
  private var present: Set<UInt32> = []
  /// The version each client's latest task started from.
  private var latest: [UInt32: UInt32] = [:]
  private var working: Set<UInt32> = []
  private var awaySince: [UInt32: Duration] = [:]
  private var buffered: [TaskKey] = []

  init(concurrency: Int, buffer: Int, steps: Int, lease: Duration, key: UInt64) {
    self.concurrency = concurrency
    self.buffer = buffer
    self.steps = steps
    self.lease = lease
    self.key = key
  }

  var nextDeadline: Duration? {
    working.compactMap { awaySince[$0] }.min().map { $0 + lease }
  }

  var waitingFor: String? {
    guard hasBegun, working.isDisjoint(with: present) else { return nil }
    return "\(buffered.count) of \(buffer) results here, nobody present is at work"
  }

  /// Takes in an event; `factor` weighs a result by its staleness and the results of its aggregation.
  mutating func handle(
    _ event: SchedulerEvent,
    now: Duration,
    factor: (_ staleness: UInt32, _ count: Int) -> Double
  ) -> [SchedulerAction] {
    switch event {
    case .begin(let round, _, let tasks, let arrived):
      version = round
      if !hasBegun {
        hasBegun = true
        for task in tasks {
          working.insert(task.client)
          latest[task.client] = task.base
          if !present.contains(task.client) { awaySince[task.client] = now }
        }
        for task in arrived { latest[task.client] = task.base }
        buffered = arrived
      }
    case .present(let client, _):
      present.insert(client)
      awaySince[client] = nil
    case .away(let client):
      present.remove(client)
      awaySince[client] = now
    case .arrived(let task):
      working.remove(task.client)
      buffered.append(task)
    case .failed(let client): working.remove(client)
    case .timer: break
    }
    guard hasBegun else { return [] }
    working = working.filter { client in awaySince[client].map { now < $0 + lease } ?? true }
    if buffered.count >= buffer {
      let counted = buffered
      buffered = []
      let factors = counted.map { factor(version - $0.base, counted.count) }
      // `begin` follows and fills the pool from the new version.
      return [.aggregate(counted, .factors(factors))]
    }
    return fill()
  }

  /// Gives tasks to idle clients, in an order drawn for the version.
  private mutating func fill() -> [SchedulerAction] {
    guard working.count < concurrency else { return [] }
    var stream = RandomStream(key: key, purpose: .clientSelection, round: version)
    let idle = present.sorted().filter { !working.contains($0) && latest[$0] != version }
    let order = stream.permutation(of: idle.count).map { idle[$0] }
    return order.prefix(concurrency - working.count).map { client in
      working.insert(client)
      latest[client] = version
      return .assign(client: client, steps: steps)
    }
  }
}
