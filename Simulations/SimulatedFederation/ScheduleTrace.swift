// Apache-2.0.
import Codecs
import Coordination

/// What a schedule does in a scenario, event by event.
public struct ScheduleTrace {
  private enum Moment {
    case join(Int)
    case arrival(Int)
    case timer(Int)
  }

  private let scenario: ScheduleScenario
  private var machine: CompassMachine
  private var queue = EventQueue<Double, Moment>()
  private var time = 0.0
  private var lines: [JSONValue] = []

  /// The trace of a scenario.
  public static func run(_ scenario: ScheduleScenario) -> ScheduleTrace {
    var trace = ScheduleTrace(scenario)
    trace.run()
    return trace
  }

  private init(_ scenario: ScheduleScenario) {
    self.scenario = scenario
    machine = CompassMachine(scenario.settings, rules: scenario.rules)
    for (index, client) in scenario.clients.enumerated() {
      queue.add(.join(index), at: client.joins, rank: 0)
    }
  }

  /// The trace as text: one JSON object, an event a line.
  public var text: String {
    let head: [JSONValue.Member] = [
      .init("scenario", .string(scenario.name)),
      .init("preset", .string(scenario.preset)),
      .init("end", end),
    ]
    let opening = JSONValue.object(head).serialized().dropLast()
    let events = lines.map { "  " + $0.serialized() }.joined(separator: ",\n")
    return "\(opening),\"events\":[\n\(events)\n]}"
  }

  private mutating func run() {
    while let (now, moment) = queue.removeFirst() {
      if let last = scenario.maximumTime, now > last { return }
      let before = lines.count
      switch moment {
      case .join(let client): perform(machine.join(client, now: now), now)
      case .arrival(let client): perform(machine.arrive(client, now: now), now)
      case .timer(let group): perform(machine.timer(group, now: now), now)
      }
      // The timer of a group that is done with is no event.
      if lines.count > before { time = now }
      if let most = scenario.maximumAggregations, machine.version >= most { return }
    }
  }

  private mutating func perform(_ events: [CompassMachine.Event], _ now: Double) {
    for event in events {
      lines.append(line(event, now))
      switch event {
      case .first(let client, let steps, _): hand(client, steps, now)
      case .assign(let client, let placing, let group, let steps, _, let latest, _):
        if placing == .create { queue.add(.timer(group), at: latest, rank: 2) }
        hand(client, steps, now)
      case .arrive, .timer, .aggregate: break
      }
    }
  }

  /// A client goes to work and comes back when it is done, if it comes back.
  private mutating func hand(_ index: Int, _ steps: Int, _ now: Double) {
    let client = scenario.clients[index]
    let number = machine.task(of: index)?.number ?? 0
    if let returns = client.returns, number >= returns { return }
    let stepTime = client.stepTimes[min(number, client.stepTimes.count - 1)]
    queue.add(.arrival(index), at: now + (Double(steps) * stepTime + client.overhead), rank: 1)
  }

  private var end: JSONValue {
    .object([
      .init("version", .integer(Int64(machine.version))),
      .init("time", .number(time)),
      .init("open_groups", .array(machine.openGroups.map { .integer(Int64($0)) })),
      .init("general", .array(machine.general.map(task))),
      .init("lost", .array(machine.lost.map(task))),
    ])
  }

  private func name(_ client: Int) -> JSONValue { .string(scenario.clients[client].id) }

  private func task(_ update: CompassMachine.Update) -> JSONValue {
    .object([
      .init("client", name(update.client)), .init("task", .integer(Int64(update.task))),
    ])
  }

  private func line(_ event: CompassMachine.Event, _ now: Double) -> JSONValue {
    func integer(_ key: String, _ value: Int) -> JSONValue.Member {
      .init(key, .integer(Int64(value)))
    }
    func group(_ id: Int?) -> JSONValue.Member {
      .init("group", id.map { .integer(Int64($0)) } ?? .null)
    }
    let what: String
    var members: [JSONValue.Member]
    switch event {
    case .first(let client, let steps, let base):
      what = "first"
      members = [.init("client", name(client)), integer("steps", steps), integer("base", base)]
    case .arrive(let client, let id, let how, let speed, let steps):
      what = "arrive"
      members = [
        .init("client", name(client)), group(id), .init("how", .string(how.rawValue)),
        .init("speed", .number(speed)), integer("steps", steps),
      ]
    case .timer(let id, let fire):
      what = "timer"
      members = [group(id), .init("effect", .string(fire.rawValue))]
    case .aggregate(let cause, let id, let version, let updates):
      what = "aggregate"
      members = [
        .init("cause", .string(cause.rawValue)), group(id), integer("version", version),
        .init("updates", .array(updates.map(self.update))),
      ]
    case .assign(let client, let placing, let id, let steps, let expected, let latest, let base):
      what = "assign"
      members = [
        .init("client", name(client)), .init("how", .string(placing.rawValue)), group(id),
        integer("steps", steps), .init("expected", .number(expected)),
        .init("latest", .number(latest)), integer("base", base),
      ]
    }
    return .object([.init("t", .number(now)), .init("ev", .string(what))] + members)
  }

  private func update(_ update: CompassMachine.Update) -> JSONValue {
    .object([
      .init("client", name(update.client)),
      .init("task", .integer(Int64(update.task))),
      .init("steps", .integer(Int64(update.steps))),
      .init("staleness", .integer(Int64(update.staleness))),
      .init("weight", .number(update.weight)),
    ])
  }
}
