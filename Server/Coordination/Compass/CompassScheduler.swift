// Apache-2.0.
import FederatedCore
import Telemetry

/// FedCompass on the server's clock: fast clients get more steps, so that groups arrive together.
///
/// Everybody who is present works. A group is never waited for beyond its latest time; a client that
/// stays away longer than the lease is given up, and begins anew when it returns.
struct CompassScheduler: Scheduler {
  static let name = "fedcompass"
  static let dropsOpenTasks = false

  private let settings: AsynchronySection
  private var machine: CompassMachine
  private var hasBegun = false
  private var present: Set<UInt32> = []
  private var examples: [UInt32: UInt64] = [:]
  /// Sum of `examples`.
  private var total: UInt64 = 0
  private var awaySince: [UInt32: Duration] = [:]
  /// Versions that the tasks the machine knows start from.
  private var version: UInt32 = 0

  init(_ schedule: ScheduleSection, steps: Int, key: UInt64) {
    let settings = schedule.asynchrony ?? AsynchronySection(steps: steps, clients: schedule.clients)
    self.settings = settings
    machine = CompassMachine(
      CompassSettings(
        leastSteps: settings.leastSteps,
        mostSteps: settings.mostSteps,
        latestFactor: settings.latestFactor,
        speedMomentum: settings.speedMomentum,
        alpha: settings.alpha,
        stalenessExponent: settings.stalenessExponent,
        clientCount: 1
      ),
      rules: CompassRules.presets.first { $0.name == settings.preset }?.rules ?? .fixed
    )
  }

  mutating func handle(_ event: SchedulerEvent, now: Duration) -> [SchedulerAction] {
    var actions: [SchedulerAction] = []
    switch event {
    case .begin(let round, _, let tasks, let arrived):
      version = round
      guard !hasBegun else { return [] }
      hasBegun = true
      begin(tasks, arrived, now, &actions)
    case .present(let client, let count):
      present.insert(client)
      total = total - (examples.updateValue(count, forKey: client) ?? 0) + count
      awaySince[client] = nil
      if hasBegun, machine.task(of: Int(client)) == nil { join(client, now, &actions) }
    case .away(let client):
      present.remove(client)
      awaySince[client] = now
    case .arrived(let key):
      timers(now, &actions)
      if machine.task(of: Int(key.client)) == nil {
        // It was on its way to the disk when the server started again, or was given up meanwhile.
        keep(key)
        perform(machine.flush(), &actions)
        if present.contains(key.client) { join(key.client, now, &actions) }
      } else {
        perform(machine.arrive(Int(key.client), now: now.inSeconds), &actions)
      }
    case .failed(let client):
      perform(machine.forget(Int(client), now: now.inSeconds), &actions)
      // Back at the end of the line: its first task again, when it is next seen or the lease ends.
      awaySince[client] = now
    case .timer: timers(now, &actions)
    }
    return actions
  }

  var nextDeadline: Duration? {
    let group = machine.timers.map(\.at).min().map {
      Duration.nanoseconds(Int64(($0 * 1e9).rounded(.up)))
    }
    let lease = awaySince.values.min().map { $0 + settings.lease }
    return [group, lease].compactMap { $0 }.min()
  }

  var waitingFor: String? {
    guard hasBegun, present.isEmpty else { return nil }
    return "all clients are away"
  }

  /// The first version, or the one a restart found.
  private mutating func begin(
    _ tasks: [TaskKey],
    _ arrived: [TaskKey],
    _ now: Duration,
    _ actions: inout [SchedulerAction]
  ) {
    machine.resume(version: Int(version))
    // Speeds and groups were not kept: who was at work counts as new, with the task it has.
    for key in tasks {
      machine.resume(
        client: Int(key.client),
        base: Int(key.base),
        steps: settings.leastSteps,
        now: now.inSeconds
      )
    }
    for key in arrived { keep(key) }
    perform(machine.flush(), &actions)
    for client in present.sorted() where machine.task(of: Int(client)) == nil {
      join(client, now, &actions)
    }
  }

  private mutating func keep(_ key: TaskKey) {
    machine.keepLate(client: Int(key.client), base: Int(key.base), steps: settings.leastSteps)
  }

  private mutating func join(
    _ client: UInt32,
    _ now: Duration,
    _ actions: inout [SchedulerAction]
  ) {
    perform(machine.join(Int(client), now: now.inSeconds), &actions)
  }

  /// Runs what is due, in order of time.
  private mutating func timers(_ now: Duration, _ actions: inout [SchedulerAction]) {
    while let next = machine.timers.min(by: { $0.at < $1.at }), next.at <= now.inSeconds {
      perform(machine.timer(next.group, now: next.at), &actions)
    }
    for (client, since) in awaySince.sorted(by: { $0.key < $1.key })
    where since + settings.lease <= now {
      awaySince[client] = nil
      perform(machine.forget(Int(client), now: now.inSeconds), &actions)
      if present.contains(client) { join(client, now, &actions) }
    }
  }

  private func perform(
    _ events: [CompassMachine.Event],
    _ actions: inout [SchedulerAction]
  ) {
    for event in events {
      switch event {
      case .first(let client, let steps, _), .assign(let client, _, _, let steps, _, _, _):
        actions.append(.assign(client: UInt32(client), steps: steps))
      case .aggregate(_, _, _, let updates):
        actions.append(
          .aggregate(
            updates.map { TaskKey(client: UInt32($0.client), base: UInt32($0.base)) },
            .factors(factors(updates))
          )
        )
      case .arrive, .timer: break
      }
    }
  }

  /// st(s)·p for each update, p the client's share of all examples known; with normalised averaging
  /// times Q̄ / Q (Wang et al., 2020).
  private func factors(_ updates: [CompassMachine.Update]) -> [Double] {
    let shares = updates.map { Double(examples[UInt32($0.client)] ?? 0) / max(1, Double(total)) }
    let whole = shares.reduce(0, +)
    let meanSteps = zip(shares, updates).reduce(0) { $0 + $1.0 * Double($1.1.steps) } / whole
    return zip(shares, updates).map { share, update in
      // The machine's own weight is for one client: α(1 + s)^−a.
      let factor = update.weight * share
      let isNormalized = settings.normalizes && updates.count > 1
      return isNormalized ? factor * meanSteps / Double(update.steps) : factor
    }
  }
}
