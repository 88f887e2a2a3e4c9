// Apache-2.0.

/// FedCompass as a value: arrivals and timers in, aggregations and assignments out.
///
/// Times are seconds, or any unit, on one clock that never goes back. Whoever drives it delivers, at
/// one moment, arrivals before timers, and runs every timer due before an arrival is handed in: a
/// client is late by the clock alone.
public struct CompassMachine: Sendable {
  /// What happened and what is to be done, in order; also the lines of a trace.
  public enum Event: Sendable, Equatable {
    /// How a client came in.
    public enum Arrival: String, Sendable {
      case first
      case onTime = "ontime"
      case late
    }
    /// What a timer found.
    public enum Fire: String, Sendable { case aggregate, empty }
    /// Why updates are aggregated.
    public enum Cause: String, Sendable { case single, all, timer, flush }
    /// How a client got its task.
    public enum Placing: String, Sendable { case create, join }

    /// A client's first task.
    case first(client: Int, steps: Int, base: Int)
    /// A client's result is here.
    case arrive(client: Int, group: Int?, Arrival, speed: Double, steps: Int)
    /// A group's time is over.
    case timer(group: Int, Fire)
    /// Updates make the next version, late ones first, then in order of arrival.
    case aggregate(Cause, group: Int?, version: Int, [Update])
    /// A client gets a task from the current version.
    case assign(
      client: Int,
      Placing,
      group: Int,
      steps: Int,
      expected: Double,
      latest: Double,
      base: Int
    )
  }

  /// A result on its way into the model.
  public struct Update: Sendable, Equatable {
    /// The client.
    public let client: Int
    /// Number of the client's task, from 0.
    public let task: Int
    /// Its steps.
    public let steps: Int
    /// The version it was trained on.
    public let base: Int
    /// Versions made since.
    public var staleness = 0
    /// Share of the update in the new version.
    public var weight = 0.0
  }

  /// What is known of a client.
  struct Client: Sendable {
    var speed: Double?
    var steps: Int
    var started: Double
    var base: Int
    var task = 0
    var group: Int?
  }

  /// Clients that are expected at one time.
  struct Group: Sendable {
    let id: Int
    var waiting: [Int] = []
    var arrived: [Int] = []
    var expected: Double
    var latest: Double
    var buffer: [Update] = []
    var isAggregated = false
    /// Least time a step of its members, where it is known: it is asked for once a new group.
    var fastest: Double?
  }

  private let settings: CompassSettings
  private let rules: CompassRules
  private(set) var clients: [Int: Client] = [:]
  /// In order of creation.
  private(set) var groups: [Group] = []
  private var nextGroup = 0
  /// Number of the current version: aggregations done.
  public private(set) var version = 0
  /// Late updates that wait for an aggregation.
  public private(set) var general: [Update] = []
  /// Updates that never reached the model.
  public private(set) var lost: [Update] = []

  /// A machine at version 0.
  public init(_ settings: CompassSettings, rules: CompassRules = .fixed) {
    self.settings = settings
    self.rules = rules
  }

  /// Groups that are not done with, by their ids.
  public var openGroups: [Int] { groups.map(\.id) }

  /// The times at which timers are due, for groups that still wait for somebody.
  public var timers: [(group: Int, at: Double)] {
    groups.filter { !$0.isAggregated }.map { ($0.id, $0.latest) }
  }

  /// The task a client has, nil where there is none of that number.
  public func task(of client: Int) -> (steps: Int, number: Int)? {
    clients[client].map { ($0.steps, $0.task) }
  }

  /// Goes on at a version that a restart found.
  public mutating func resume(version: Int) { self.version = version }

  /// A client is at work on a task that a restart found; when it comes it counts as new.
  public mutating func resume(client: Int, base: Int, steps: Int, now: Double) {
    clients[client] = Client(steps: steps, started: now, base: base)
  }

  /// A result that a restart found without an aggregation goes into the next one.
  public mutating func keepLate(client: Int, base: Int, steps: Int) {
    general.append(Update(client: client, task: 0, steps: steps, base: base))
  }

  /// Results that a restart found go into a version at once: those who made them have had their task
  /// of the present one.
  public mutating func flush() -> [Event] {
    guard !general.isEmpty else { return [] }
    let late = general
    general = []
    var events: [Event] = []
    aggregate(late, .flush, nil, &events)
    return events
  }

  /// A client is there for the first time.
  public mutating func join(_ client: Int, now: Double) -> [Event] {
    let steps = rules.isFirstTaskLong ? settings.mostSteps : settings.leastSteps
    let base = rules.isFirstTaskLong ? 0 : version
    clients[client] = Client(
      steps: steps,
      started: rules.isFirstTaskLong ? 0 : now,
      base: base
    )
    return [.first(client: client, steps: steps, base: base)]
  }

  /// A client's result is here.
  public mutating func arrive(_ client: Int, now: Double) -> [Event] {
    guard var known = clients[client] else { return [] }
    let seen = (now - known.started) / Double(known.steps)
    let m = settings.speedMomentum
    known.speed = known.speed.map { (1 - m) * $0 + m * seen } ?? seen
    var update = Update(client: client, task: known.task, steps: known.steps, base: known.base)
    if rules.countsStalenessAtArrival { rate(&update) }
    known.task += 1
    clients[client] = known
    let speed = known.speed ?? seen
    guard let group = known.group, let index = groups.firstIndex(where: { $0.id == group }) else {
      var events = [
        Event.arrive(client: client, group: nil, .first, speed: speed, steps: known.steps)
      ]
      aggregate([update], .single, nil, &events)
      assign(client, now, &events)
      return events
    }
    groups[index].waiting.removeAll { $0 == client }
    groups[index].fastest = nil
    let isLate = now > groups[index].latest
    var events = [
      Event.arrive(
        client: client,
        group: group,
        isLate ? .late : .onTime,
        speed: speed,
        steps: known.steps
      )
    ]
    if isLate {
      if groups[index].waiting.isEmpty { groups.remove(at: index) }
      keepLate(update)
      assign(client, now, &events)
    } else {
      groups[index].arrived.append(client)
      groups[index].buffer.append(update)
      if groups[index].waiting.isEmpty { aggregate(group: group, .all, now, &events) }
    }
    return events
  }

  /// A group's latest time is here.
  public mutating func timer(_ group: Int, now: Double) -> [Event] {
    guard let index = groups.firstIndex(where: { $0.id == group }), !groups[index].isAggregated
    else {
      return []
    }
    var events: [Event] = []
    if groups[index].buffer.isEmpty {
      // It stays for its late members; its time is over.
      groups[index].isAggregated = true
      events.append(.timer(group: group, .empty))
      if rules.flushes, !general.isEmpty {
        let late = general
        general = []
        aggregate(late, .flush, group, &events)
      }
    } else {
      events.append(.timer(group: group, .aggregate))
      aggregate(group: group, .timer, now, &events)
    }
    return events
  }

  /// A client will not come back: nobody waits for it any more.
  public mutating func forget(_ client: Int, now: Double) -> [Event] {
    guard let gone = clients.removeValue(forKey: client), let group = gone.group,
      let index = groups.firstIndex(where: { $0.id == group })
    else { return [] }
    groups[index].waiting.removeAll { $0 == client }
    groups[index].arrived.removeAll { $0 == client }
    groups[index].fastest = nil
    guard groups[index].waiting.isEmpty else { return [] }
    var events: [Event] = []
    if groups[index].isAggregated || groups[index].buffer.isEmpty {
      groups.remove(at: index)
    } else {
      aggregate(group: group, .all, now, &events)
    }
    return events
  }
}

extension CompassMachine {
  private func rate(_ update: inout Update) {
    update.staleness = version - update.base
    update.weight = settings.weight(staleness: update.staleness)
  }

  private mutating func keepLate(_ update: Update) {
    if rules.lateUpdates == .oneSlot,
      let index = general.firstIndex(where: { $0.client == update.client })
    {
      lost.append(general[index])
      general[index] = update
    } else {
      general.append(update)
    }
  }

  private mutating func aggregate(
    _ updates: [Update],
    _ cause: Event.Cause,
    _ group: Int?,
    _ events: inout [Event]
  ) {
    var updates = updates
    if !rules.countsStalenessAtArrival {
      for index in updates.indices { rate(&updates[index]) }
    }
    version += 1
    events.append(.aggregate(cause, group: group, version: version, updates))
  }

  private mutating func aggregate(
    group id: Int,
    _ cause: Event.Cause,
    _ now: Double,
    _ events: inout [Event]
  ) {
    guard let index = groups.firstIndex(where: { $0.id == id }) else { return }
    let punctual = groups[index].buffer
    var late = general
    general = []
    if rules.lateUpdates == .oneSlot {
      let clients = Set(punctual.map(\.client))
      lost += late.filter { clients.contains($0.client) }
      late.removeAll { clients.contains($0.client) }
    }
    groups[index].isAggregated = true
    groups[index].buffer = []
    if rules.closesFirst {
      groups[index].expected = 0
      groups[index].latest = 0
    }
    aggregate(late + punctual, cause, id, &events)
    let arrived = groups[index].arrived
    groups[index].arrived = []
    groups[index].fastest = nil
    // Stable: equally fast clients keep the order of their arrival.
    let order = arrived.enumerated().sorted {
      (speed($0.element), $0.offset) < (speed($1.element), $1.offset)
    }
    for (_, client) in order { assign(client, now, &events) }
    groups.removeAll { $0.id == id && $0.waiting.isEmpty }
  }

  private func speed(_ client: Int) -> Double { clients[client]?.speed ?? .infinity }

  private mutating func assign(_ client: Int, _ now: Double, _ events: inout [Event]) {
    let speed = speed(client)
    clients[client]?.base = version
    clients[client]?.started = now
    let placing: Event.Placing
    let index: Int
    let steps: Int
    if let found = groupToJoin(speed, now) {
      placing = .join
      (index, steps) = found
    } else {
      placing = .create
      steps = stepsOfNewGroup(speed, now)
      let span = Double(steps) * speed
      groups.append(
        Group(id: nextGroup, expected: now + span, latest: now + span * settings.latestFactor)
      )
      nextGroup += 1
      index = groups.count - 1
    }
    groups[index].waiting.append(client)
    groups[index].fastest = groups[index].fastest.map { min($0, speed) }
    // Without `closesFirst` a group can be joined again that has just been aggregated.
    groups[index].isAggregated = false
    clients[client]?.group = groups[index].id
    clients[client]?.steps = steps
    events.append(
      .assign(
        client: client,
        placing,
        group: groups[index].id,
        steps: steps,
        expected: groups[index].expected,
        latest: groups[index].latest,
        base: version
      )
    )
  }

  /// The group in which the client gets the most steps; of equals the newest.
  private func groupToJoin(_ speed: Double, _ now: Double) -> (index: Int, steps: Int)? {
    var best: (index: Int, steps: Int)?
    for (index, group) in groups.enumerated() {
      let steps = wholeSteps((group.expected - now) / speed)
      guard steps >= settings.leastSteps, steps <= settings.mostSteps else { continue }
      if steps >= best?.steps ?? 0 { best = (index, steps) }
    }
    return best
  }

  /// Steps that end when the fastest member of another group could be back from `mostSteps` more.
  private mutating func stepsOfNewGroup(_ speed: Double, _ now: Double) -> Int {
    var best: Int?
    for index in groups.indices where now < groups[index].expected {
      let group = groups[index]
      let fastest =
        group.fastest ?? (group.waiting + group.arrived).map { self.speed($0) }.min() ?? .infinity
      groups[index].fastest = fastest
      guard fastest.isFinite else { continue }
      let anchor = rules.anchorsAtLatest ? group.latest : group.expected
      let steps = wholeSteps(((anchor + fastest * Double(settings.mostSteps)) - now) / speed)
      guard rules.clampsCandidates || steps <= settings.mostSteps else { continue }
      best = max(best ?? steps, steps)
    }
    return min(settings.mostSteps, max(settings.leastSteps, best ?? settings.mostSteps))
  }

  /// Steps that fit; a quotient that misses a whole number by rounding counts as that number.
  private func wholeSteps(_ quotient: Double) -> Int {
    Int(max(-1e9, min(1e9, (quotient + 1e-9).rounded(.down))))
  }
}
