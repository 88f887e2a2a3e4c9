// Apache-2.0.
import Codecs
public import Coordination
public import FederatedCore
import Participation
public import Reporting
import RunLedger
public import Telemetry
import WireProtocol

/// A whole federation in one process: the production coordinator and participants, messages as bytes,
/// and a clock that jumps from event to event.
///
/// What is computed is real; how long it takes is virtual and comes from `DeviceModel`. The order of
/// everything is decided by virtual time alone, so the result does not depend on the workers.
public struct SimulatedFederation<Work: SimulatedWork> {
  private enum Event {
    /// Bytes arrive at the server.
    case up(PeerNumber, kind: UInt8, body: [UInt8])
    /// Bytes arrive at a client.
    case down(client: Int, PeerNumber, kind: UInt8, body: [UInt8])
    /// A client's task is done.
    case trained(client: Int, ticket: Int, run: UInt32, round: UInt32)
    /// A version is evaluated.
    case evaluated(run: UInt32, version: UInt32, ticket: Int)
    /// A client's connection is lost.
    case lost(client: Int, PeerNumber)
    /// A client connects again.
    case back(client: Int)
    /// A deadline of the coordinator may have passed.
    case timer
  }

  /// What a simulation came to.
  public struct Outcome: Sendable {
    /// The run as the coordinator sees it.
    public let view: CoordinatorMachine.RunView
    /// Virtual time from the first event to the last.
    public let duration: Duration
    /// Tasks done by clients.
    public var tasks: Int { record.tasks.count }
    /// What a report tells.
    public let record: RunRecord
  }

  private let work: Work
  private let configuration: RunConfiguration
  private let devices: DeviceModel
  private let log: Log
  private let onReport: (RoundReport, RoundReport.Traffic?) -> Void

  private var machine: CoordinatorMachine
  private let ledger: MemoryLedger
  private var clients: [SimulatedClient] = []
  private var clientOf: [PeerNumber: Int] = [:]
  private var indexOf: [String: Int] = [:]
  private var lastPeer: PeerNumber = 0
  private var events = EventQueue<Duration, Event>()
  private var queue: WorkQueue<Work>
  private var now: Duration = .zero
  /// What rounds cost whose reports are to come.
  private var costs: [UInt32: RoundReport.Traffic] = [:]
  /// When rounds were folded whose reports are to come, and the bytes of all clients by then.
  private var moments: [UInt32: (time: Duration, bytes: Int)] = [:]
  private var bytes = 0
  private var versions: [RunRecord.Version] = []
  private var tasks: [RunRecord.Task] = []
  private var refusal: String?
  private var isOver = false

  /// The number of the one run.
  private static var run: UInt32 { 1 }
  /// Seconds until a client that was lost is back.
  private static var absence: Duration { .seconds(30) }

  /// A federation of the clients of `work`.
  ///
  /// - Parameters:
  ///   - configuration: with a `simulation` object.
  ///   - workers: threads; the configuration's where nil.
  ///   - onReport: told of every round as it ends.
  /// - Throws: `SimulationError`, or what making a worker throws.
  public init(
    _ configuration: RunConfiguration,
    work: Work,
    workers: Int? = nil,
    log: Log = .silent,
    onReport: @escaping (RoundReport, RoundReport.Traffic?) -> Void = { _, _ in }
  ) throws {
    guard let settings = configuration.simulation else {
      throw SimulationError.configuration(
        "the run file has no simulation object: write simulation: {clients: …, data: …, partition: …}"
      )
    }
    self.work = work
    self.configuration = configuration
    self.log = log
    self.onReport = onReport
    devices = DeviceModel(settings.devices, key: configuration.runKey)
    queue = try WorkQueue(work, workers: workers ?? settings.workers)
    machine = try CoordinatorMachine(software: "fedsim")
    let digits = String(max(0, work.exampleCounts.count - 1)).count
    for index in work.exampleCounts.indices {
      let number = String(index)
      let name = "client-" + String(repeating: "0", count: digits - number.count) + number
      clients.append(SimulatedClient(name: name, stepTime: devices.stepTime(of: index)))
      indexOf[name] = index
    }
    ledger = try MemoryLedger()
  }

  /// Runs to the end of the run.
  ///
  /// - Throws: `SimulationError` where the run does not complete; `CodecError` where a message is not
  ///   understood, which is a defect.
  public mutating func run() throws -> Outcome {
    try perform(machine.start(now: now))
    for index in clients.indices { try connect(index) }
    try tell(.submit(ticket: 1, configuration))
    while !isOver, let (time, event) = events.removeFirst() {
      now = max(now, time)
      try happen(event)
    }
    guard let view = machine.view(of: Self.run) else {
      throw SimulationError.failed(refusal ?? "it was not accepted")
    }
    guard view.isOver else { throw SimulationError.stuck(view.detail) }
    guard view.state == RunState.completed.rawValue else {
      throw SimulationError.failed(view.detail)
    }
    let record = RunRecord(
      name: configuration.name,
      facts: facts(view),
      versions: versions,
      tasks: tasks,
      clients: clients.count,
      duration: now.inSeconds
    )
    return Outcome(view: view, duration: now, record: record)
  }

  private mutating func happen(_ event: Event) throws {
    switch event {
    case .up(let peer, let kind, let body):
      try tell(.received(peer, Message(kind: kind, body: body)))
    case .down(let index, let peer, let kind, let body):
      guard clients[index].peer == peer else { return }
      try tell(index, .received(Message(kind: kind, body: body)))
    case .trained(let index, let ticket, let run, let round):
      guard clients[index].ticket == ticket else { return }
      clients[index].ticket = nil
      guard case .trained(let result)? = queue.result(ticket) else { return }
      tasks.append(
        RunRecord.Task(
          client: index,
          start: clients[index].begun.inSeconds,
          end: now.inSeconds,
          base: Int(round)
        )
      )
      try tell(index, .trained(run: run, round: round, result))
    case .evaluated(let run, let version, let ticket):
      guard case .evaluated(let result)? = queue.result(ticket) else { return }
      try tell(.evaluated(run: run, version: version, result))
    case .lost(let index, let peer):
      guard clients[index].peer == peer else { return }
      clients[index].peer = nil
      clientOf[peer] = nil
      try tell(index, .closed)
      try tell(.closed(peer))
      let away = devices.stretch(of: index, period: clients[index].period, isOnline: false)
      events.add(.back(client: index), at: now + (away ?? Self.absence))
    case .back(let index): try connect(index)
    case .timer: try tell(.timer)
    }
  }

  private mutating func connect(_ index: Int) throws {
    guard clients[index].peer == nil else { return }
    lastPeer += 1
    clients[index].peer = lastPeer
    clientOf[lastPeer] = index
    clients[index].period += 1
    if let stay = devices.stretch(of: index, period: clients[index].period, isOnline: true) {
      events.add(.lost(client: index, lastPeer), at: now + stay)
    }
    try tell(.connected(lastPeer, name: clients[index].name))
    try tell(index, .connected)
  }

  /// Feeds the coordinator.
  private mutating func tell(_ event: CoordinatorEvent) throws {
    let before = machine.nextDeadline
    try perform(machine.handle(event, now: now))
    if let due = machine.nextDeadline, due != before { events.add(.timer, at: max(now, due)) }
  }

  private mutating func perform(_ actions: [CoordinatorAction]) throws {
    for action in actions {
      switch action {
      case .send(let peer, let message):
        guard let index = clientOf[peer] else { continue }
        let body = message.body
        count(Self.frameBytes(message.kind, body), \.down, of: index)
        events.add(
          .down(client: index, peer, kind: message.kind.rawValue, body: body),
          at: arrival(of: body, \.downlinkFree, index)
        )
      case .close(let peer):
        if let index = clientOf[peer] { events.add(.lost(client: index, peer), at: now) }
      case .commit(let id, let records):
        try ledger.commit(records)
        try tell(.committed(id))
      case .prepare(let run, _): try tell(.prepared(run: run, .success(work.base)))
      case .evaluate(let run, let version, let updates):
        let ticket = queue.add(.evaluate(updates))
        // After all else of this moment, so that the tasks of the next round are computed beside it.
        events.add(.evaluated(run: run, version: version, ticket: ticket), at: now, rank: 1)
      case .answer(_, .success): break
      case .answer(_, .failure(let failure)): refusal = failure.description
      case .log(let level, let text): log.write(level, text)
      case .folded(_, let round, let contributors):
        costs[round] = cost(of: contributors)
        moments[round] = (now, bytes)
      case .report(let report): tell(report)
      case .finished: isOver = true
      }
    }
  }

  /// Feeds a client.
  private mutating func tell(_ index: Int, _ event: ParticipantEvent) throws {
    for action in clients[index].machine.handle(event) {
      switch action {
      case .send(let message):
        guard let peer = clients[index].peer else { continue }
        let body = message.body
        count(Self.frameBytes(message.kind, body), \.up, of: index)
        events.add(
          .up(peer, kind: message.kind.rawValue, body: body),
          at: arrival(of: body, \.uplinkFree, index)
        )
      case .prepare(let run, _):
        let preparation = Preparation(
          base: work.base,
          examples: work.exampleCounts[index],
          parameters: work.parameterCount
        )
        try tell(index, .prepared(run: run, .success(preparation)))
      case .train(let order): begin(order, at: index)
      case .log(let level, let text): log.write(level, "\(clients[index].name): \(text)")
      case .keep, .ended: break
      }
    }
  }

  private mutating func begin(_ order: TrainingOrder, at index: Int) {
    if let old = clients[index].ticket { queue.forget(old) }
    let ticket = queue.add(.train(client: index, order))
    clients[index].ticket = ticket
    clients[index].begun = now
    let duration = devices.duration(
      of: index,
      round: order.task.round,
      steps: order.task.steps,
      stepTime: clients[index].stepTime
    )
    events.add(
      .trained(client: index, ticket: ticket, run: order.run, round: order.task.round),
      at: now + duration
    )
    if let share = devices.loss(of: index, round: order.task.round), let peer = clients[index].peer
    {
      events.add(.lost(client: index, peer), at: now + duration * share)
    }
  }

  /// When a message is there: one after another on each way of a link.
  private mutating func arrival(
    of body: [UInt8],
    _ link: WritableKeyPath<SimulatedClient, Duration>,
    _ index: Int
  ) -> Duration {
    let begins = max(now, clients[index][keyPath: link])
    let ends = begins + devices.transfer(bytes: body.count)
    clients[index][keyPath: link] = ends
    return ends
  }

  private static func frameBytes(_ kind: Message.Kind, _ body: [UInt8]) -> Int {
    Frame.packed(kind: kind.rawValue, body: body).encoded.count
  }

  /// What the foot of a report says.
  private func facts(_ view: CoordinatorMachine.RunView) -> [(String, String)] {
    var facts = ["algorithm", "schedule", "data", "simulation"].map { key in
      (key, configuration.json[key]?.serialized() ?? "")
    }
    facts.append(("trainable", configuration.trainable.joined(separator: " ")))
    facts.append(("seed", "\(configuration.seed)"))
    facts.append(("configuration", configuration.digest.description))
    facts.append(("base weights", work.base.description))
    facts.append(("final version", view.digest?.description ?? "none"))
    return facts
  }

  private mutating func count(
    _ count: Int,
    _ way: WritableKeyPath<FrameTraffic, Int>,
    of index: Int
  ) {
    clients[index].traffic[keyPath: way] += count
    bytes += count
  }

  private mutating func tell(_ report: RoundReport) {
    if versions.isEmpty {
      versions.append(version(0, (.zero, 0), [], report.before))
    }
    let moment = moments.removeValue(forKey: report.round) ?? (now, bytes)
    versions.append(version(Int(report.round), moment, report.ages.map { Int($0) }, report.after))
    onReport(report, costs.removeValue(forKey: report.round))
  }

  private func version(
    _ number: Int,
    _ moment: (time: Duration, bytes: Int),
    _ ages: [Int],
    _ score: VersionScore?
  ) -> RunRecord.Version {
    RunRecord.Version(
      number: number,
      time: moment.time.inSeconds,
      bytes: Double(moment.bytes),
      ages: ages,
      loss: score?.loss,
      accuracy: score?.accuracy
    )
  }

  /// Mean bytes of the contributors since they were last counted.
  private mutating func cost(of contributors: [String]) -> RoundReport.Traffic {
    let counted = contributors.compactMap { indexOf[$0] }
    var sum = FrameTraffic()
    for index in counted {
      sum.up += clients[index].traffic.up
      sum.down += clients[index].traffic.down
      clients[index].traffic = FrameTraffic()
    }
    let share = 1 / Double(max(1, counted.count))
    return .init(up: Double(sum.up) * share, down: Double(sum.down) * share)
  }
}

/// The ledger of a simulation: the production one, without a disk.
private final class MemoryLedger {
  private let ledger: Ledger

  init() throws { ledger = try Ledger(path: ":memory:") }

  func commit(_ records: [LedgerRecord]) throws { _ = try ledger.commit(records) }
}
