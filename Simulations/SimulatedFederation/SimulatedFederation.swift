// Apache-2.0.
import Codecs
public import Coordination
public import FederatedCore
import Participation
public import Reporting
import RunLedger
import Telemetry
import WireProtocol

/// A whole federation in one process: the production coordinator and participants, messages as bytes,
/// and a clock that jumps from event to event.
///
/// What is computed is real; how long it takes is virtual and comes from `DeviceModel`. The order of
/// everything is decided by virtual time alone, so the result does not depend on the workers.
public struct SimulatedFederation {
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
    /// Whether all rounds were run; otherwise time was over, or what was wanted was reached.
    public var isComplete: Bool { view.state == RunState.completed.rawValue }
  }

  let work: any SimulatedWork
  let configuration: RunConfiguration
  let devices: DeviceModel
  private let hooks: SimulationHooks

  private var machine: CoordinatorMachine
  private var clients: ClientPool
  private var events = EventQueue<Duration, Event>()
  private var queue: WorkQueue
  private var now: Duration = .zero
  /// When clients come back that the coordinator has sent away.
  private var returns: [Int: Duration] = [:]
  /// Clients that have connected for the first time.
  private var arrived = 0
  /// Those of them that are not ready yet.
  private var arriving: Set<Int> = []
  private var meter = TrafficMeter()
  /// What rounds cost whose reports are to come.
  private var costs: [UInt32: RoundReport.Traffic] = [:]
  /// When rounds were folded whose reports are to come, and the bytes of all clients by then.
  private var moments: [UInt32: (time: Duration, bytes: Int)] = [:]
  private var recorder = RunRecorder()
  private var refusal: String?
  private var isOver = false
  /// Whether the simulation ended before its run.
  private var isCut = false
  private var isEnough: ((RoundReport) -> Bool)?
  private let limit: Duration?

  /// The number of the one run.
  private static var run: UInt32 { 1 }
  /// Seconds until a client that was lost is back.
  private static var absence: Duration { .seconds(30) }
  /// Clients that connect at once at the beginning, so that a million do not wait side by side.
  private static var wave: Int { 4096 }

  /// A federation of the clients of `work`.
  ///
  /// - Parameters:
  ///   - configuration: with a `simulation` object.
  ///   - workers: threads; the configuration's where nil.
  ///   - journal: where results are kept, and found again after a kill.
  ///   - hooks: who is told.
  /// - Throws: `SimulationError`, or what making a worker throws.
  public init(
    _ configuration: RunConfiguration,
    work: some SimulatedWork,
    workers: Int? = nil,
    journal: ResultJournal? = nil,
    hooks: SimulationHooks = SimulationHooks()
  ) throws {
    guard let settings = configuration.simulation else {
      throw SimulationError.configuration(
        "the run file has no simulation object: write simulation: {clients: …, data: …, partition: …}"
      )
    }
    self.work = work
    self.configuration = configuration
    self.hooks = hooks
    devices = DeviceModel(settings.devices, key: configuration.runKey)
    limit = settings.seconds > 0 ? .virtual(settings.seconds) : nil
    clients = ClientPool(count: work.clientCount)
    let recorder = recorder
    queue = try WorkQueue(work, workers: workers ?? settings.workers, journal: journal) { count in
      hooks.onProgress(recorder.progress(of: configuration, computed: count))
    }
    machine = try CoordinatorMachine(software: "fedsim")
  }

  /// Runs to the end of the run, or of the virtual seconds that its file allows.
  ///
  /// - Parameter isEnough: asked about every version; the simulation ends with one it says yes to.
  /// - Throws: `SimulationError` where the run fails; `CodecError` where a message is not
  ///   understood, which is a defect.
  public mutating func run(until isEnough: ((RoundReport) -> Bool)? = nil) throws -> Outcome {
    self.isEnough = isEnough
    try perform(machine.start(now: now))
    try tell(.submit(ticket: 1, configuration))
    try welcome()
    while !isOver, let (time, event) = events.removeFirst() {
      if let limit, time > limit {
        (now, isCut) = (limit, true)
        break
      }
      now = max(now, time)
      recorder.now = now
      try happen(event)
      if arriving.isEmpty, arrived < clients.count { try welcome() }
    }
    guard let view = machine.view(of: Self.run) else {
      throw SimulationError.failed(refusal ?? "it was not accepted")
    }
    guard view.isOver || isCut else { throw SimulationError.stuck(view.detail) }
    guard view.state == RunState.completed.rawValue || isCut && !view.isOver else {
      throw SimulationError.failed(view.detail)
    }
    recorder.now = now
    let record = recorder.record(configuration, view, clients: clients.count)
    return Outcome(view: view, duration: now, record: record)
  }

  /// The next clients connect for the first time.
  private mutating func welcome() throws {
    for index in arrived..<min(clients.count, arrived + Self.wave) {
      arrived += 1
      arriving.insert(index)
      try connect(index)
    }
  }

  private mutating func happen(_ event: Event) throws {
    switch event {
    case .up(let peer, let kind, let body):
      try tell(.received(peer, Message(kind: kind, body: body)))
    case .down(let index, let peer, let kind, let body):
      guard clients.peer(of: index) == peer else { return }
      try tell(index, .received(Message(kind: kind, body: body)))
    case .trained(let index, let ticket, let run, let round):
      try trained(index, ticket, run, round)
    case .evaluated(let run, let version, let ticket):
      guard case .evaluated(let result)? = try result(of: ticket) else { return }
      try tell(.evaluated(run: run, version: version, result))
    case .lost(let index, let peer):
      guard clients.peer(of: index) == peer else { return }
      clients.disconnect(index)
      arriving.remove(index)
      hooks.tell(.away(client: index), at: now)
      if clients.awake(index) != nil { try tell(index, .closed) }
      try tell(.closed(peer))
      let away = devices.stretch(of: index, period: clients.period(of: index), isOnline: false)
      let after = returns.removeValue(forKey: index)
      events.add(.back(client: index), at: now + (after ?? away ?? Self.absence))
    case .back(let index):
      guard clients.peer(of: index) == nil else { return }
      hooks.tell(.back(client: index), at: now)
      try connect(index)
    case .timer: try tell(.timer)
    }
  }

  private mutating func connect(_ index: Int) throws {
    clients.connect(index)
    guard let peer = clients.peer(of: index) else { return }
    let period = clients.period(of: index)
    if let stay = devices.stretch(of: index, period: period, isOnline: true) {
      events.add(.lost(client: index, peer), at: now + stay)
    }
    try tell(.connected(peer, name: clients.name(of: index)))
    // Its machine is told of the connection now and rests until then without one.
    _ = woken(index, isConnected: false)
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
      case .send(let peer, let message): deliver(message.kind, message.body, to: peer)
      // Nobody does anything about it any more.
      case .broadcast(_, .runEnd): continue
      case .broadcast(let peers, let message):
        let body = message.body
        for peer in peers { deliver(message.kind, body, to: peer) }
      case .dismiss(let peer, let after):
        if let index = clients.client(of: peer) {
          returns[index] = after
          events.add(.lost(client: index, peer), at: now)
        }
      case .close(let peer):
        if let index = clients.client(of: peer) {
          events.add(.lost(client: index, peer), at: now)
        }
      // There is no disk: the journal of results brings a simulation back.
      case .commit(let id, _): try tell(.committed(id))
      case .prepare(let run, _):
        try tell(.prepared(run: run, .success(PreparedModel(base: work.base, blocks: work.blocks))))
      case .evaluate(let run, let version, let updates):
        let ticket = queue.add(.evaluate(updates))
        // After all else of this moment, so that the tasks of the next round are computed beside it.
        events.add(.evaluated(run: run, version: version, ticket: ticket), at: now, rank: 1)
      case .answer(_, .success): break
      case .answer(_, .failure(let failure)): refusal = failure.description
      case .log(let level, let text): hooks.log.write(level, text)
      case .folded(let run, let round, let contributors):
        settleTraffic()
        costs[round] = cost(of: contributors)
        moments[round] = (now, meter.total)
        clients.forget(before: machine.oldestVersionKept(of: run))
      case .report(let report): tell(report)
      case .finished: isOver = true
      }
    }
  }

  private mutating func deliver(_ kind: Message.Kind, _ body: [UInt8], to peer: PeerNumber) {
    guard let index = clients.client(of: peer) else { return }
    clients[traffic: index].down += meter.add(kind, body, .down, of: index)
    let free = devices.arrival(of: body, after: clients.awake(index)?.downlinkFree, now: now)
    if free > now { woken(index).downlinkFree = free }
    events.add(.down(client: index, peer, kind: kind.rawValue, body: body), at: free)
  }

  /// Feeds a client.
  private mutating func tell(_ index: Int, _ event: ParticipantEvent) throws {
    let client = woken(index)
    for action in client.machine.handle(event) {
      switch action {
      case .send(let message):
        guard let peer = clients.peer(of: index) else { continue }
        let body = message.body
        clients[traffic: index].up += meter.add(message.kind, body, .up, of: index)
        client.uplinkFree = devices.arrival(of: body, after: client.uplinkFree, now: now)
        events.add(
          .up(peer, kind: message.kind.rawValue, body: body),
          at: client.uplinkFree
        )
        if case .ready = message { arriving.remove(index) }
      case .prepare(let run, _):
        try tell(index, .prepared(run: run, preparation(of: index)))
      case .train(let order): begin(order, client, at: index)
      case .log(let level, let text): hooks.log.write(level, "\(clients.name(of: index)): \(text)")
      case .keep, .ended: break
      }
    }
    clients.settle(index, now: now)
  }

  private mutating func begin(_ order: TrainingOrder, _ client: SimulatedClient, at index: Int) {
    if let old = client.ticket { queue.forget(old) }
    let ticket = queue.add(.train(client: index, order))
    client.ticket = ticket
    client.begun = now
    hooks.tell(.task(client: index, order.task), at: now)
    let duration = devices.duration(
      of: index,
      round: order.task.round,
      steps: order.task.steps,
      stepTime: stepTime(of: index, order.task)
    )
    events.add(
      .trained(client: index, ticket: ticket, run: order.run, round: order.task.round),
      at: now + duration
    )
    let loss = devices.loss(of: index, round: order.task.round)
    if let loss, let peer = clients.peer(of: index) {
      events.add(.lost(client: index, peer), at: now + duration * loss)
    }
  }

  private mutating func trained(
    _ index: Int,
    _ ticket: Int,
    _ run: UInt32,
    _ round: UInt32
  ) throws {
    guard let client = clients.awake(index), client.ticket == ticket else { return }
    client.ticket = nil
    guard case .trained(let result)? = try result(of: ticket) else { return }
    recorder.tasks.append(
      RunRecord.Task(
        client: index,
        start: client.begun.inSeconds,
        end: now.inSeconds,
        base: Int(round)
      )
    )
    hooks.tell(.result(client: index, version: round, loss: (try? result.get())?.meanLoss), at: now)
    hooks.onProgress(recorder.progress(of: configuration, computed: 0))
    try tell(index, .trained(run: run, round: round, result))
  }

  private mutating func result(of ticket: Int) throws -> WorkOutcome? {
    if !queue.isDone(ticket) { try queue.computeAll(checkedBy: machine.session(of: Self.run)) }
    return queue.take(ticket)
  }

  private mutating func woken(_ index: Int, isConnected: Bool = true) -> SimulatedClient {
    if let client = clients.awake(index) { return client }
    let device = profile(of: index)
    return clients.woken(
      index,
      examples: work.exampleCount(of: index),
      device: device,
      isConnected: isConnected
    )
  }

  private mutating func tell(_ report: RoundReport) {
    let moment = moments.removeValue(forKey: report.round) ?? (now, meter.total)
    recorder.add(report, time: moment.time, bytes: moment.bytes)
    hooks.tell(
      .version(report, clients: report.contributors.compactMap { clients.index(of: $0) }),
      at: now
    )
    hooks.onReport(report, costs.removeValue(forKey: report.round))
    if !isOver, isEnough?(report) == true { (isOver, isCut) = (true, true) }
  }

  /// Counts the frames that nobody has asked about yet.
  private mutating func settleTraffic() {
    for (index, traffic) in meter.settle(on: queue) {
      clients[traffic: index].up += traffic.up
      clients[traffic: index].down += traffic.down
    }
  }

  /// Mean bytes of the contributors since they were last counted.
  private mutating func cost(of contributors: [String]) -> RoundReport.Traffic {
    let counted = contributors.compactMap { clients.index(of: $0) }
    var sum = FrameTraffic()
    for index in counted {
      sum.up += clients[traffic: index].up
      sum.down += clients[traffic: index].down
      clients[traffic: index] = FrameTraffic()
    }
    let share = 1 / Double(max(1, counted.count))
    return .init(up: Double(sum.up) * share, down: Double(sum.down) * share)
  }
}
