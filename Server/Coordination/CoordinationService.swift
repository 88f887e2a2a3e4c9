// Apache-2.0.
import Codecs
import FederatedCore
public import RunLedger
public import Telemetry
public import Transport
import WireProtocol

/// The daemon around `CoordinatorMachine`: one thread feeds it, the others do what it says.
///
///     event loops ── events ──▶ coordination thread ── records ──▶ ledger thread
///          ▲                        │        ▲  ◀── durable ───────────┘
///          └────── messages ────────┘        └── scores ── model thread
public final class CoordinationService: Sendable {
  // SAFETY: after `init` touched on the coordination loop's thread alone.
  final class State: @unchecked Sendable {
    var machine: CoordinatorMachine
    var server: TransportServer?
    /// Numbers of the machine for connections, and back.
    var numbers: [PeerID: PeerNumber] = [:]
    var peers: [PeerNumber: PeerID] = [:]
    var names: [PeerID: String] = [:]
    var lastNumber: PeerNumber = 0
    var traffic = TrafficMeter()
    /// What rounds cost whose reports are to come, by run and round.
    var costs: [[UInt32]: RoundReport.Traffic] = [:]
    var watchers: [Watcher] = []
    var tickets: [UInt64: PeerID] = [:]
    var lastTicket: UInt64 = 0
    var timer: Duration?
    var isDraining = false
    var commitsUnderWay: Set<UInt64> = []
    var whenQuiet: (@Sendable () -> Void)?

    init(_ machine: CoordinatorMachine) { self.machine = machine }
  }

  /// Somebody who wants to see the rounds of a run, or of all runs, as they come.
  struct Watcher {
    let peer: PeerID
    let run: UInt32?
  }

  let state: State
  let loop: EventLoop
  let models: any ModelWork
  let authority: CertificateAuthority
  let log: Log
  private let writer: LedgerWriter
  /// What else waits for the disk does so where the ledger does.
  let disk: EventLoop
  private let time: TimeSource
  let advertised: [SocketAddress]
  private let onReport: @Sendable (RoundReport, RoundReport.Traffic?) -> Void

  /// A service; `start` sets it going.
  ///
  /// - Parameters:
  ///   - machine: recovered from the same ledger.
  ///   - ledger: open; nobody else writes to it.
  ///   - models: loads and evaluates the models of the runs.
  ///   - loops: coordination and disk, each a thread that serves nothing else; the second waits for the
  ///     ledger and the authority.
  ///   - advertised: addresses that enrolment tokens carry.
  ///   - onReport: told of every round.
  public init(
    _ machine: CoordinatorMachine,
    ledger: consuming Ledger,
    authority: CertificateAuthority,
    advertised: [SocketAddress],
    models: any ModelWork,
    loops: (coordination: EventLoop, disk: EventLoop),
    log: Log,
    time: TimeSource = .monotonic,
    onReport: @escaping @Sendable (RoundReport, RoundReport.Traffic?) -> Void
  ) {
    let state = State(machine)
    self.state = state
    loop = loops.coordination
    self.models = models
    self.authority = authority
    self.advertised = advertised
    self.log = log
    self.time = time
    self.onReport = onReport
    disk = loops.disk
    writer = LedgerWriter(ledger, loop: loops.disk, log: log)
  }

  /// Goes on with what the ledger holds and lets clients in; `server` carries what is said.
  public func start(_ server: TransportServer) {
    loop.submit {
      self.state.server = server
      self.perform(self.state.machine.start(now: self.time.now))
      server.start()
    }
  }

  /// Takes in what happens on connections; called on any thread.
  public func transport(_ event: TransportEvent) {
    loop.submit { self.handle(event) }
  }

  /// Stops handing out work, lets the disk finish, and calls `done` on the coordination thread.
  public func drain(then done: @escaping @Sendable () -> Void) {
    loop.submit {
      self.state.isDraining = true
      self.state.whenQuiet = done
      self.quietIfDone()
    }
  }

  /// Feeds the machine; on the coordination thread.
  func tell(_ event: CoordinatorEvent) {
    guard !state.isDraining || event.isOfTheDisk else { return }
    perform(state.machine.handle(event, now: time.now))
    armTimer()
  }

  private func committed(_ id: UInt64) {
    state.commitsUnderWay.remove(id)
    tell(.committed(id))
    quietIfDone()
  }

  private func quietIfDone() {
    guard state.isDraining, state.commitsUnderWay.isEmpty, let done = state.whenQuiet else {
      return
    }
    state.whenQuiet = nil
    done()
  }

  private func armTimer() {
    guard let due = state.machine.nextDeadline, state.timer.map({ due < $0 }) ?? true else {
      return
    }
    state.timer = due
    loop.schedule(after: max(.zero, due - time.now)) {
      // An earlier alarm set later replaces this one.
      guard self.state.timer == due else { return }
      self.state.timer = nil
      self.tell(.timer)
    }
  }

  private func perform(_ actions: [CoordinatorAction]) {
    for action in actions {
      switch action {
      case .send(let number, let message):
        if let peer = state.peers[number] { send(message, to: peer) }
      case .broadcast(let numbers, let message):
        for number in numbers {
          if let peer = state.peers[number] { send(message, to: peer) }
        }
      case .close(let number):
        if let peer = state.peers[number] {
          state.server?.close(peer, Goodbye(.violation, "closed by the server"))
        }
      case .dismiss(let number, let after):
        if let peer = state.peers[number] {
          let goodbye = Goodbye(.leaving, retryAfter: after, "nothing to do before a later round")
          state.server?.close(peer, goodbye)
        }
      case .commit(let id, let records):
        state.commitsUnderWay.insert(id)
        writer.write(records) { self.loop.submit { self.committed(id) } }
      case .prepare(let run, let configuration):
        models.prepare(run, configuration) { result in
          self.loop.submit { self.tell(.prepared(run: run, result)) }
        }
      case .evaluate(let run, let version, let updates):
        models.evaluate(run, updates) { result in
          self.loop.submit { self.tell(.evaluated(run: run, version: version, result)) }
        }
      case .answer(let ticket, let result): answer(ticket, result)
      case .log(let level, let text): log.write(level, text)
      case .folded(let run, let round, let contributors):
        state.costs[[run, round]] = state.traffic.ofRound(contributors)
      case .report(let report): publish(report)
      case .finished(let run, let outcome, let reason): finished(run, outcome, reason)
      }
    }
  }

  func send(_ message: Message, to peer: PeerID) { state.server?.send(message, to: peer) }

  private func publish(_ report: RoundReport) {
    let traffic = state.costs.removeValue(forKey: [report.run, report.round])
    onReport(report, traffic)
    tellWatchers(of: report.run, report.json(traffic), isLast: false)
  }

  private func finished(_ run: UInt32, _ outcome: RunState, _ reason: String) {
    log.write(
      outcome == .failed ? .error : .info,
      "run \(run) \(outcome.rawValue): \(reason)"
    )
    guard let view = state.machine.view(of: run) else { return }
    tellWatchers(of: run, view.json, isLast: true)
  }
}

extension CoordinatorEvent {
  /// Whether a server that drains still takes it in.
  fileprivate var isOfTheDisk: Bool {
    if case .committed = self { true } else { false }
  }
}
