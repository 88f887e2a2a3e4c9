// Apache-2.0.
import FederatedCore
import SharedRandomness

/// Rounds of k of the n known clients, drawn by the run key and the round.
///
/// A round closes with its k-th contribution; at its deadline with fewer, if at least the minimum
/// came; or as soon as nobody is left to wait for. A client that is away keeps its task for a grace
/// period, so that a restart of the server changes no selection; then the next of the draw stands in.
struct SynchronousScheduler: Scheduler {
  static let name = "synchronous"
  static let dropsOpenTasks = true

  private enum Place: Equatable { case open, arrived, lost }

  private let schedule: ScheduleSection
  private let steps: Int
  private let key: UInt64
  private let grace: Duration

  private var round: UInt32 = 0
  private var isOpen = false
  /// Clients in the order of this round's draw.
  private var order: [UInt32] = []
  /// Contributions that close the round.
  private var target = 0
  private var places: [UInt32: Place] = [:]
  /// How many of them are at work, and how many are lost: rounds of thousands are not counted anew
  /// at each event.
  private var openCount = 0
  private var lostCount = 0
  private var arrivals: [UInt32] = []
  private var deadline: Duration = .zero
  /// When lost clients are asked again, because too few are left without them.
  private var retry: Duration?
  /// By ordinal.
  private var isPresent: [Bool] = []
  /// Since when clients are away; who is neither here nor present was not heard of since a restart.
  private var awaySince: [UInt32: Duration] = [:]
  /// Those of them that are at work.
  private var absent: Set<UInt32> = []
  private var pace: PaceSteering

  init(_ schedule: ScheduleSection, steps: Int, key: UInt64) {
    self.schedule = schedule
    self.steps = steps
    self.key = key
    grace = min(.seconds(30), schedule.deadline / 4)
    pace = PaceSteering(schedule)
  }

  mutating func handle(_ event: SchedulerEvent, now: Duration) -> [SchedulerAction] {
    var actions: [SchedulerAction] = []
    /// Who may be idle now and was not before.
    var idle: [UInt32] = []
    switch event {
    case .begin(let round, let clients, let tasks, let arrived):
      begin(
        round: round,
        clients: clients,
        tasks: tasks.map(\.client),
        arrived: arrived.map(\.client),
        now: now
      )
      pace.begin(now)
      idle = order
    case .present(let client, _):
      pace.back(client)
      idle = [client]
      setPresent(client, true)
      awaySince[client] = nil
      absent.remove(client)
      enrol(client)
    case .away(let client):
      setPresent(client, false)
      awaySince[client] = now
      if places[client] == .open { absent.insert(client) }
    case .arrived(let key):
      guard isOpen, key.base == round,
        places[key.client] == .open || places[key.client] == .lost
      else { return [] }
      place(key.client, .arrived)
      arrivals.append(key.client)
    case .failed(let client):
      if isOpen, places[client] == .open { place(client, .lost) }
    case .timer: break
    }
    guard isOpen else { return [] }
    dropTheAbsent(now)
    actions += retryTheLost(now)
    actions += fill(now)
    actions += close(now)
    if isOpen, schedule.surplus != nil {
      idle = idle.filter { places[$0] == nil && isPresent[Int($0)] }
      actions += pace.steer(idle, wanted: wanted, now)
    }
    return actions
  }

  /// Clients asked in a round.
  private var wanted: Int { Int((Double(target) * schedule.overSelection).rounded(.up)) }

  var nextDeadline: Duration? {
    guard isOpen else { return nil }
    let first = absent.lazy.compactMap { awaySince[$0] }.min()
    return [deadline, retry, first.map { $0 + grace }].compactMap { $0 }.min()
  }

  var waitingFor: String? {
    guard isOpen else { return nil }
    guard absent.count + lostCount > 0 else { return nil }
    return
      "\(arrivals.count) of \(target) results here, \(openCount - absent.count) clients at work, "
      + "\(absent.count) away, \(lostCount) lost"
  }

  private mutating func begin(
    round: UInt32,
    clients: UInt32,
    tasks: [UInt32],
    arrived: [UInt32],
    now: Duration
  ) {
    self.round = round
    isOpen = true
    var stream = RandomStream(key: key, purpose: .clientSelection, round: round)
    order = stream.permutation(of: Int(clients)).map { UInt32($0) }
    target = min(schedule.clients, order.count)
    places = [:]
    (openCount, lostCount, absent) = (0, 0, [])
    let missing = order.count - isPresent.count
    if missing > 0 { isPresent += [Bool](repeating: false, count: missing) }
    for client in order where !isPresent[Int(client)] && awaySince[client] == nil {
      awaySince[client] = now
    }
    for client in tasks { place(client, .open) }
    for client in arrived { place(client, .arrived) }
    arrivals = arrived
    deadline = now + schedule.deadline
    retry = nil
  }

  private mutating func place(_ client: UInt32, _ place: Place) {
    switch places.updateValue(place, forKey: client) {
    case .open: openCount -= 1
    case .lost: lostCount -= 1
    case .arrived, nil: break
    }
    absent.remove(client)
    switch place {
    case .open:
      openCount += 1
      if awaySince[client] != nil { absent.insert(client) }
    case .lost: lostCount += 1
    case .arrived: break
    }
  }

  private mutating func setPresent(_ client: UInt32, _ value: Bool) {
    let missing = Int(client) + 1 - isPresent.count
    if missing > 0 { isPresent += [Bool](repeating: false, count: missing) }
    isPresent[Int(client)] = value
  }

  /// A client that came after the draw is the last to stand in.
  private mutating func enrol(_ client: UInt32) {
    // The draw has all ordinals below its length.
    if isOpen, client >= UInt32(order.count) { order.append(client) }
  }

  private func isAbsent(_ client: UInt32, _ now: Duration) -> Bool {
    if pace.isGone(client) { return true }
    return awaySince[client].map { now >= $0 + grace } ?? false
  }

  private mutating func dropTheAbsent(_ now: Duration) {
    for client in absent where isAbsent(client, now) { place(client, .lost) }
  }

  /// Hands out tasks until enough clients are at work.
  private mutating func fill(_ now: Duration) -> [SchedulerAction] {
    let wanted = wanted
    var working = places.count - lostCount
    var actions: [SchedulerAction] = []
    guard working < wanted else { return [] }
    for client in order where places[client] == nil && !isAbsent(client, now) {
      place(client, .open)
      working += 1
      actions.append(.assign(client: client, steps: steps))
      if working == wanted { break }
    }
    return actions
  }

  private mutating func retryTheLost(_ now: Duration) -> [SchedulerAction] {
    guard places.count - lostCount < schedule.minimum, lostCount > 0,
      case let lost = places.filter({ $0.value == .lost && isPresent[Int($0.key)] }).keys.sorted(),
      !lost.isEmpty
    else {
      retry = nil
      return []
    }
    guard let due = retry else {
      retry = now + grace
      return []
    }
    guard now >= due else { return [] }
    retry = nil
    for client in lost { place(client, .open) }
    return lost.map { .assign(client: $0, steps: steps) }
  }

  private mutating func close(_ now: Duration) -> [SchedulerAction] {
    let open = openCount > 0
    let enough = arrivals.count >= min(schedule.minimum, target)
    if arrivals.count >= target || (enough && (!open || now >= deadline)) {
      isOpen = false
      pace.close(now)
      let counted = arrivals.prefix(schedule.clients).sorted()
      return [.aggregate(counted.map { TaskKey(client: $0, base: round) }, .examples)]
    }
    guard now >= deadline else { return [] }
    deadline = now + schedule.deadline
    return [
      .note(
        "round \(round + 1): the deadline passed with \(arrivals.count) of at least "
          + "\(schedule.minimum) results; it waits on"
      )
    ]
  }
}
