// Apache-2.0.
import Codecs
import FederatedAlgorithms
import FederatedCore
import Telemetry
import WireProtocol

/// A client as a value: it is told what happens and says what to do.
///
/// It touches no clock, no socket and no file; `fedclient` and `fedsim` drive the same one.
///
///     connected ▸ hello ▸ welcome, offer ▸ prepare ▸ ready ▸ task ▸ train ▸ result ▸ acknowledged
///                                                             ▲                        │
///                                                             └────────────────────────┘
///
/// A result is kept and sent again after every new connection until the server acknowledges it;
/// the server counts it once. A version is folded from the same contributions as at the server and
/// is trained from only if its digest is the one the server names.
public struct ParticipantMachine: Sendable {
  /// The run the client takes part in.
  struct Participation: Sendable {
    let run: UInt32
    let configuration: RunConfiguration
    let digest: Digest
    /// At version `version`.
    var session: any AlgorithmSession
    var version: UInt32
    /// What the last life left, until the model is loaded.
    var kept: KeptVersion?
    /// What the algorithm keeps from task to task.
    var memory: [UInt8] = []
    var preparation: Preparation?
    /// Why it cannot take part; told again after every new connection.
    var refusal: String?
    /// The task at work, with the digest it starts from.
    var task: TaskOrder?
    var unacknowledged: TaskResult?
    /// Whether the server was asked to send the state whole.
    var hasAskedAgain = false
  }

  private let software: String
  private let shelf: VersionShelf?
  private let keepsVersions: Bool
  var isConnected = false
  private var kept: KeptVersion?
  var current: Participation?

  /// A client.
  ///
  /// - Parameters:
  ///   - kept: what the last life left; whatever does not fit the run offered is dropped.
  ///   - software: program and version, told to the server.
  ///   - shelf: versions it shares with other participants of the process.
  ///   - keepsVersions: whether it asks for what its next life needs.
  public init(
    kept: KeptVersion? = nil,
    software: String = "samara",
    shelf: VersionShelf? = nil,
    keepsVersions: Bool = true
  ) {
    self.kept = kept
    self.software = software
    self.shelf = shelf
    self.keepsVersions = keepsVersions
  }

  /// Number of the run the client takes part in.
  public var run: UInt32? { current?.run }

  /// Round of the task at work.
  public var round: UInt32? { current?.task?.round }

  /// Whether a task is at work.
  public var isTraining: Bool { current?.task != nil }

  /// Takes in an event and says what to do, in order.
  public mutating func handle(_ event: ParticipantEvent) -> [ParticipantAction] {
    var actions: [ParticipantAction] = []
    switch event {
    case .connected:
      isConnected = true
      let run = current?.run ?? kept?.run ?? 0
      actions.append(.send(.hello(ClientHello(run: run, software: software))))
    case .closed: isConnected = false
    case .received(let message): received(message, &actions)
    case .prepared(let run, let result): prepared(run, result, &actions)
    case .trained(let run, let round, let result): trained(run, round, result, &actions)
    }
    return actions
  }

  private mutating func received(_ message: Message, _ actions: inout [ParticipantAction]) {
    switch message {
    case .welcome(let welcome):
      actions.append(.log(.info, "connected to \(welcome.software)"))
    case .offer(let offer): offered(offer, &actions)
    case .task(let order): ordered(order, &actions)
    case .acknowledged(let run, let round):
      guard current?.run == run, current?.unacknowledged?.round == round else { return }
      current?.unacknowledged = nil
      keep(&actions)
    case .runEnd(let end): ended(end, &actions)
    case .failure(let failure): actions.append(.log(.error, "server: \(failure.text)"))
    case .hello, .ready, .result, .resend, .admin, .reply:
      actions.append(.log(.warning, "a server does not send \(message.kind)"))
    }
  }

  private mutating func offered(_ offer: RunOffer, _ actions: inout [ParticipantAction]) {
    let digest = Digest.sha256(of: offer.configuration)
    if let current, current.run == offer.run, current.digest == digest {
      // Back after a lost connection: what is loaded stays, what was done is told again.
      tellWhetherReady(&actions)
      if current.preparation == nil, current.refusal != nil {
        // Whatever was wrong may have been put right since.
        self.current?.refusal = nil
        actions.append(.prepare(run: offer.run, current.configuration))
      }
      return
    }
    do {
      current = try participation(offer, digest)
    } catch {
      current = nil
      let reason = "the run cannot be read: \(error)"
      actions.append(.log(.error, reason))
      send(.ready(RunReady(run: offer.run, answer: .refused(reason))), &actions)
      return
    }
    guard let current else { return }
    actions.append(.log(.info, "run \(current.run) (\(current.configuration.name)) offered"))
    actions.append(.prepare(run: current.run, current.configuration))
  }

  /// The run as it begins here: at the base, or where the last life left it.
  private func participation(_ offer: RunOffer, _ digest: Digest) throws -> Participation {
    let begin = { () throws -> (RunConfiguration, any AlgorithmSession) in
      let configuration = try RunConfiguration(decoding: offer.configuration)
      let session = try AlgorithmCatalog.start(
        algorithm: configuration.algorithm.json,
        key: configuration.runKey
      )
      return (configuration, session)
    }
    let made = try shelf?.configuration(digest, begin) ?? begin()
    let kept = kept.flatMap { $0.run == offer.run && $0.configuration == digest ? $0 : nil }
    return Participation(
      run: offer.run,
      configuration: made.0,
      digest: digest,
      session: made.1,
      version: 0,
      kept: kept
    )
  }

  private mutating func prepared(
    _ run: UInt32,
    _ result: Result<Preparation, ParticipationFailure>,
    _ actions: inout [ParticipantAction]
  ) {
    guard current?.run == run else { return }
    switch result {
    case .success(let preparation):
      do {
        try begin(preparation)
      } catch {
        current?.refusal = "\(error)"
        actions.append(.log(.error, "cannot take part in run \(run): \(error)"))
      }
    case .failure(let failure):
      current?.refusal = failure.description
      actions.append(.log(.error, "cannot take part in run \(run): \(failure)"))
    }
    tellWhetherReady(&actions)
  }

  /// The session knows its tensors and goes on where the last life left it.
  private mutating func begin(_ preparation: Preparation) throws {
    try current?.session.begin(preparation.blocks)
    if let kept = current?.kept, var restored = current?.session {
      current?.kept = nil
      if (try? restored.restore(kept.snapshot)) != nil {
        current?.session = restored
        current?.version = kept.version
        current?.unacknowledged = kept.result
        current?.memory = kept.memory
      }
    }
    current?.preparation = preparation
  }

  /// Tells the server where the client stands, and again what may have been lost.
  private func tellWhetherReady(_ actions: inout [ParticipantAction]) {
    guard let current else { return }
    if let reason = current.refusal {
      send(.ready(RunReady(run: current.run, answer: .refused(reason))), &actions)
    } else if let preparation = current.preparation {
      let holding = RunReady.Holding(
        base: preparation.base,
        examples: UInt64(preparation.examples),
        parameters: UInt64(preparation.parameters),
        version: current.version,
        digest: DigestPrefix(current.session.digest(base: preparation.base)),
        device: preparation.device
      )
      // The result first: the task it answers is then not sent again.
      if let result = current.unacknowledged { send(.result(result), &actions) }
      send(.ready(RunReady(run: current.run, answer: .ready(holding))), &actions)
    }
  }

  private mutating func ended(_ end: RunEnd, _ actions: inout [ParticipantAction]) {
    guard (current?.run ?? kept?.run) == end.run else { return }
    current = nil
    kept = nil
    actions.append(
      .log(
        end.outcome == .failed ? .error : .info,
        "run \(end.run) \(end.outcome) after \(end.rounds) rounds: \(end.reason)"
      )
    )
    actions.append(.ended(end))
  }

  func send(_ message: Message, _ actions: inout [ParticipantAction]) {
    // What cannot be said now is said after the next hello.
    if isConnected { actions.append(.send(message)) }
  }
}

/// Tasks: to the version they start from, through the local steps, to a result.
extension ParticipantMachine {
  private mutating func ordered(_ order: TaskOrder, _ actions: inout [ParticipantAction]) {
    guard let current, current.run == order.run, let preparation = current.preparation else {
      send(.failure(Failure(run: order.run, text: "a task of a run that is not ready")), &actions)
      return
    }
    if let task = current.task {
      // Sent again after a lost connection: it is at work.
      guard order.round > task.round else { return }
      // The server has gone on and would drop the result of the task at work.
      actions.append(.log(.info, "round \(task.round + 1) is given up: the server has gone on"))
      self.current?.task = nil
    }
    if let result = current.unacknowledged, result.round == order.round,
      result.digest == DigestPrefix(order.digest)
    {
      send(.result(result), &actions)
      return
    }
    guard let session = brought(to: order, current, preparation, &actions) else { return }
    self.current?.session = session
    self.current?.version = order.round
    self.current?.hasAskedAgain = false
    self.current?.task = order
    let task = LocalTask(
      round: order.round,
      client: order.client,
      steps: Int(order.steps),
      batchSize: Int(order.batchSize)
    )
    actions.append(
      .train(
        TrainingOrder(run: order.run, task: task, session: session, memory: current.memory)
      )
    )
  }

  /// The session at the version of the task, nil where it cannot be reached.
  private mutating func brought(
    to order: TaskOrder,
    _ current: Participation,
    _ preparation: Preparation,
    _ actions: inout [ParticipantAction]
  ) -> (any AlgorithmSession)? {
    if let known = shelf?.session(order.digest) { return known }
    var session = current.session
    var fault = "its digest differs"
    do {
      try order.sync.apply(to: &session, at: current.version)
    } catch {
      fault = "\(error)"
    }
    if session.digest(base: preparation.base) == order.digest {
      shelf?.keep(session, as: order.digest)
      return session
    }
    if current.hasAskedAgain {
      let text = "version \(order.round) cannot be reached even from its snapshot: \(fault)"
      self.current?.hasAskedAgain = false
      actions.append(.log(.error, text))
      send(.failure(Failure(run: order.run, text: text)), &actions)
    } else {
      actions.append(.log(.warning, "version \(order.round) is asked for again: \(fault)"))
      self.current?.hasAskedAgain = true
      send(.resend(run: order.run), &actions)
    }
    return nil
  }

  private mutating func trained(
    _ run: UInt32,
    _ round: UInt32,
    _ result: Result<LocalResult, ParticipationFailure>,
    _ actions: inout [ParticipantAction]
  ) {
    guard let order = current?.task, order.run == run, order.round == round else { return }
    current?.task = nil
    switch result {
    case .success(let local):
      let result = TaskResult(
        run: run,
        round: round,
        digest: DigestPrefix(order.digest),
        meanLoss: local.meanLoss,
        skippedSteps: UInt32(local.skippedSteps),
        clippedSteps: UInt32(local.clippedSteps),
        payload: local.payload
      )
      current?.unacknowledged = result
      current?.memory = local.memory
      keep(&actions)
      send(.result(result), &actions)
    case .failure(let failure):
      actions.append(.log(.error, "round \(round + 1): \(failure)"))
      send(.failure(Failure(run: run, text: failure.description)), &actions)
    }
  }

  private func keep(_ actions: inout [ParticipantAction]) {
    guard let current, keepsVersions, current.preparation != nil else { return }
    actions.append(
      .keep {
        KeptVersion(
          run: current.run,
          configuration: current.digest,
          version: current.version,
          snapshot: current.session.snapshot(),
          result: current.unacknowledged,
          memory: current.memory
        )
      }
    )
  }
}
