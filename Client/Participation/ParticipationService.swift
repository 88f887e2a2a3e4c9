// Apache-2.0.
import Codecs
import FederatedCore
public import Telemetry
public import Transport
public import WireProtocol

/// The program around `ParticipantMachine`: one thread feeds it, the others do what it says.
///
///     connection ── events ──▶ participation thread ── orders ──▶ training thread
///         ▲                        │           ▲                        │
///         └────── messages ────────┘           └──────── results ───────┘
public final class ParticipationService: Sendable {
  // SAFETY: after `init` touched on the participation loop's thread alone.
  private final class State: @unchecked Sendable {
    var machine: ParticipantMachine
    var client: TransportClient?
    var failures = 0
    var isConnected = false
    var isStopping = false

    init(_ machine: ParticipantMachine) { self.machine = machine }
  }

  private let state: State
  private let loop: EventLoop
  private let host: TrainingHost
  private let store: VersionStore
  private let policy: ReconnectPolicy
  private let patience: Duration
  private let random: @Sendable () -> UInt64
  private let log: Log
  private let onEnd: @Sendable (RunEnd) -> Void

  /// A service; `start` sets it going.
  ///
  /// - Parameters:
  ///   - loop: the thread of the machine; it serves nothing else.
  ///   - patience: how long a client that cannot take part in a run waits before it looks again.
  ///   - random: 64 bits for the jitter between attempts to connect.
  ///   - onEnd: told of every run that is over, on the machine's thread.
  public init(
    _ machine: ParticipantMachine,
    host: TrainingHost,
    store: VersionStore,
    loop: EventLoop,
    policy: ReconnectPolicy = ReconnectPolicy(),
    patience: Duration = .seconds(60),
    random: @escaping @Sendable () -> UInt64 = { .random(in: 0 ... .max) },
    log: Log,
    onEnd: @escaping @Sendable (RunEnd) -> Void
  ) {
    state = State(machine)
    self.loop = loop
    self.host = host
    self.store = store
    self.policy = policy
    self.patience = patience
    self.random = random
    self.log = log
    self.onEnd = onEnd
  }

  /// Connects through `client`, again and again.
  public func start(_ client: TransportClient) {
    loop.submit { [self] in
      state.client = client
      client.connect()
    }
  }

  /// Takes in what happens on the connection; called on any thread.
  public func transport(_ event: TransportEvent) {
    loop.submit { [self] in handle(event) }
  }

  /// Lets go of everything and calls `done`; what comes later is dropped.
  ///
  /// A task at work is given up: the next life does it again.
  public func stop(then done: @escaping @Sendable () -> Void) {
    loop.submit { [self] in
      state.isStopping = true
      host.release()
      done()
    }
  }

  private func handle(_ event: TransportEvent) {
    guard !state.isStopping else { return }
    switch event {
    case .connected(_, _, let address):
      log.info("connected to \(address)")
      state.isConnected = true
      tell(.connected)
    case .received(_, let kind, let body, _):
      do throws(CodecError) {
        let message = try Message(kind: kind, body: body)
        // A server that speaks to us is a good connection; one that only accepts is not.
        if case .welcome = message { state.failures = 0 }
        // A result that the server has, or has no use for, need not go on travelling.
        if case .acknowledged = message { state.client?.withdraw(.result) }
        tell(.received(message))
      } catch {
        log.error("the server sent what is no message of kind \(kind): \(error)")
        state.client?.close(Goodbye(.violation, "message of kind \(kind): \(error)"))
      }
    case .announced, .backpressure: break
    case .closed(_, let reason, _):
      state.isConnected = false
      tell(.closed)
      connectAgain(after: reason)
    }
  }

  private func connectAgain(after reason: CloseReason) {
    let wait = policy.wait(failures: state.failures, reason: reason, random: random())
    state.failures += 1
    log.warning("no connection (\(reason)); the next attempt in \(decimal(wait.inSeconds, 1)) s")
    state.client?.schedule(after: wait) { [self] in
      loop.submit { [self] in
        if !state.isStopping { state.client?.connect() }
      }
    }
  }

  private func prepared(_ run: UInt32, _ result: Result<Preparation, ParticipationFailure>) {
    tell(.prepared(run: run, result))
    guard case .failure = result else { return }
    // A disk may not be mounted yet, a file not be written: greeted again, the server offers the run
    // again.
    loop.schedule(after: patience) { [self] in
      if state.isConnected { tell(.connected) }
    }
  }

  private func tell(_ event: ParticipantEvent) {
    guard !state.isStopping else { return }
    for action in state.machine.handle(event) { perform(action) }
  }

  private func perform(_ action: ParticipantAction) {
    switch action {
    case .send(let message): state.client?.send(message)
    case .prepare(let run, let configuration):
      host.prepare(run, configuration) { [self] result in
        loop.submit { [self] in prepared(run, result) }
      }
    case .train(let order):
      host.train(order) { [self] result in
        loop.submit { [self] in tell(.trained(run: order.run, round: order.task.round, result)) }
      }
    case .keep(let version): store.save(version())
    case .log(let level, let text): log.write(level, text)
    case .ended(let end):
      host.release()
      store.clear()
      onEnd(end)
    }
  }
}
