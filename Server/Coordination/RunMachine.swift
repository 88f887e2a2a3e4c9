// Apache-2.0.
import Codecs
import FederatedAlgorithms
import FederatedCore
import RunLedger
import Telemetry
import WireProtocol

/// One run as a value: who takes part, the round that is open, the integers of the version.
///
/// Everything that must survive goes through the ledger first, so `RunMachine(id:records:)` makes
/// the same value again.
struct RunMachine: Sendable {
  /// Where the run stands.
  enum Phase: Sendable, Equatable {
    /// The server loads the model.
    case preparing
    /// Clients are waited for.
    case gathering
    case training
    /// All rounds are done, held-out scores are outstanding.
    case scoring
    case ended(RunState, reason: String)
  }

  /// A client that took part, by its ordinal for good.
  struct Client: Sendable, Equatable {
    let name: String
    let examples: UInt64
  }

  /// A client that is connected and ready.
  struct Member: Sendable {
    let peer: PeerNumber
    let examples: UInt64
    /// Its device, where devices train different parts.
    let device: Device?
    /// Version it holds, nil where what it holds is in doubt.
    var version: UInt32?
  }

  /// What a device told, apart from its member: runs of a million members have none of these.
  final class Device: Sendable {
    let profile: DeviceProfile

    init(_ profile: DeviceProfile) { self.profile = profile }
  }

  /// A task that was handed out.
  struct OpenTask: Sendable {
    let key: TaskKey
    let steps: Int
    /// 0 where it is that of the run.
    let batchSize: UInt32
  }

  /// A contribution that waits for its aggregation.
  struct Held: Sendable {
    let steps: Int
    let payload: [UInt8]
    let loss: Float
  }

  let id: UInt32
  let configuration: RunConfiguration
  /// As clients are offered it.
  let encodedConfiguration: [UInt8]
  var phase = Phase.preparing
  var session: any AlgorithmSession
  var scheduler: any Scheduler
  var base: Digest?

  var clients: [Client] = []
  var ordinals: [String: UInt32] = [:]
  var members: [String: Member] = [:]
  /// Last words of clients that failed or cannot take part.
  var problems: [String: String] = [:]

  /// Rounds done; also the version that tasks start from.
  var round: UInt32 = 0
  /// Digests of the versions 0...round, once the base is known.
  var digests: [Digest] = []
  var history = RoundHistory()
  /// How long payloads are kept; nil for ever.
  let retention: Retention?
  /// The version of the last checkpoint, and whether payloads since were great.
  var checkpointed: UInt32 = 0
  var hasGreatPayloads = false
  /// While records are replayed: the version that a checkpoint among them holds.
  var resumesAt: UInt32 = 0
  /// `session.snapshot()` of the current version, once it is needed.
  var snapshot: Blob?
  /// The latest task of each client that has one.
  var tasks: [UInt32: OpenTask] = [:]
  /// Contributions whose commit is under way.
  var inFlight: [TaskKey: Held] = [:]
  /// Contributions that are safe, in the order they became so.
  var arrivals: [TaskKey] = []
  var results: [TaskKey: Held] = [:]
  var failed: Set<UInt32> = []
  /// Steps of tasks that wait for the next version.
  var deferred: [UInt32: Int] = [:]
  var begunAt: Duration = .zero

  var scores: [UInt32: VersionScore] = [:]
  var unscored: Set<UInt32> = []
  /// Rounds whose report waits for a score.
  var reports: [RoundReport] = []

  /// A run as submitted, or as it was once.
  ///
  /// - Parameter isNew: whether settings are refused that make sense no more, but for which programs
  ///   before this one have taken in runs; those go on as they began.
  /// - Throws: `FederationError` or `AlgorithmError` where its settings name what there is not.
  init(
    id: UInt32,
    configuration: RunConfiguration,
    retention: Retention? = nil,
    isNew: Bool
  ) throws {
    self.id = id
    self.retention = retention
    self.configuration = configuration
    encodedConfiguration = configuration.encoded
    session = try AlgorithmCatalog.start(
      algorithm: configuration.algorithm.json,
      key: configuration.runKey
    )
    scheduler = try SchedulerCatalog.start(
      configuration.schedule,
      steps: configuration.algorithm.steps,
      key: configuration.runKey
    )
    guard type(of: scheduler).dropsOpenTasks || session.acceptsStaleTasks else {
      throw FederationError.configuration(
        path: "schedule.policy",
        advice: "\(configuration.schedule.policy) counts late results, which this algorithm cannot "
          + "take in; write synchronous, or another algorithm"
      )
    }
    guard configuration.frozen != "device" || session.deviceNeeds != nil else {
      throw FederationError.configuration(
        path: "frozen",
        advice: "devices of this algorithm are alike; write stored, bf16 or int8, or take fedpipe"
      )
    }
    let isNormalized = configuration.schedule.asynchrony?.normalizes ?? false
    guard !(isNew && isNormalized && session.normalizesSteps) else {
      throw FederationError.configuration(
        path: "schedule.normalize",
        advice: "the algorithm makes steps equal already, and would a second time; take this away, "
          + "or write normalize: false in algorithm (fednova without it is fedavg)"
      )
    }
  }

  var isOver: Bool {
    if case .ended = phase { true } else { false }
  }

  /// Whether it is over, and when its scheduler wants a timer.
  ///
  /// Mutating, so that whoever asks after each event does not copy the run out of where it is kept.
  mutating func standing() -> (isOver: Bool, deadline: Duration?) {
    (isOver, phase == .training ? scheduler.nextDeadline : nil)
  }

  /// The model is loaded, or the run ends.
  mutating func prepared(
    _ result: Result<PreparedModel, PreparationFailure>,
    now: Duration,
    _ effects: inout Effects
  ) {
    guard phase == .preparing else { return }
    switch result {
    case .failure(let failure): end(.failed, failure.description, &effects)
    case .success(let model):
      let found = model.base
      if let base, base != found {
        end(
          .failed,
          "the model in \(configuration.model) has changed since the run began: "
            + "it was \(DigestPrefix(base)) and is \(DigestPrefix(found)); put it back and resubmit",
          &effects
        )
        return
      }
      if base == nil {
        do {
          try session.begin(model.blocks)
        } catch {
          end(.failed, "\(error)", &effects)
          return
        }
        let layout = ParameterBlock.encode(model.blocks)
        effects.records.append(.layout(run: id, blocks: layout))
        effects.records.append(.base(run: id, digest: found))
        base = found
        digests = [session.digest(base: found)]
      }
      if round == UInt32(configuration.rounds) {
        phase = .scoring
      } else {
        phase = clients.isEmpty ? .gathering : .training
      }
      score(&effects)
      if phase == .training {
        introduce(now)
        begin(now, &effects)
      }
      finishIfDone(&effects)
    }
  }

  /// Tells the scheduler after a restart about the clients it knew; all of them are away as yet.
  private mutating func introduce(_ now: Duration) {
    for (index, client) in clients.enumerated() {
      let ordinal = UInt32(index)
      _ = scheduler.handle(.present(client: ordinal, examples: client.examples), now: now)
      _ = scheduler.handle(.away(client: ordinal), now: now)
    }
  }

  /// A client is ready, or says why not.
  mutating func ready(
    _ peer: PeerNumber,
    _ name: String,
    _ answer: RunReady.Answer,
    now: Duration,
    _ effects: inout Effects
  ) {
    guard phase == .gathering || phase == .training else { return }
    switch answer {
    case .refused(let reason):
      problems[name] = reason
      effects.actions.append(.log(.warning, "client \(name) cannot take part: \(reason)"))
    case .ready(let holding):
      if let fault = fault(in: holding) {
        problems[name] = fault
        effects.actions.append(.log(.warning, "client \(name) is refused: \(fault)"))
        effects.send(peer, .failure(Failure(run: id, text: fault)))
        return
      }
      problems[name] = nil
      members[name] = Member(
        peer: peer,
        examples: holding.examples,
        device: session.deviceNeeds == nil ? nil : holding.device.map(Device.init),
        version: heldVersion(holding)
      )
      if phase == .gathering {
        startIfEnough(now, &effects)
      } else {
        join(name, now: now, &effects)
      }
    }
  }

  /// A connection is gone.
  mutating func left(_ peer: PeerNumber, _ name: String, now: Duration, _ effects: inout Effects) {
    guard members[name]?.peer == peer else { return }
    members[name] = nil
    guard phase == .training, let ordinal = ordinals[name] else { return }
    perform(scheduler.handle(.away(client: ordinal), now: now), now, &effects)
  }

  mutating func timer(now: Duration, _ effects: inout Effects) {
    guard phase == .training else { return }
    perform(scheduler.handle(.timer, now: now), now, &effects)
  }

  /// Ends the run.
  mutating func end(_ state: RunState, _ reason: String, _ effects: inout Effects) {
    if state != .failed { checkpoint(isLast: true, &effects) }
    phase = .ended(state, reason: reason)
    effects.records.append(.state(run: id, state: state, reason: reason))
    if let outcome {
      let peers = members.sorted { $0.key < $1.key }.map(\.value.peer)
      effects.steps.append(.act(.broadcast(peers, .runEnd(outcome))))
    }
    effects.steps.append(.act(.finished(run: id, state, reason: reason)))
    members = [:]
    reports = []
  }

  /// How the run ended, as clients are told; nil while it goes on, or where it never began.
  var outcome: RunEnd? {
    guard case .ended(let state, let reason) = phase, let digest = digests.last else { return nil }
    let outcome: RunEnd.Outcome =
      switch state {
      case .running, .failed: .failed
      case .completed: .completed
      case .stopped: .stopped
      }
    return RunEnd(run: id, outcome: outcome, rounds: round, digest: digest, reason: reason)
  }

  /// What the run waits for, in words; nil while it is at work.
  var waitingFor: String? {
    switch phase {
    case .preparing: "the model is being loaded"
    case .gathering: "\(members.count) of \(configuration.schedule.startClients) clients ready"
    case .training: scheduler.waitingFor
    case .scoring: "evaluation of the last version"
    case .ended: nil
    }
  }

  private func fault(in holding: RunReady.Holding) -> String? {
    if let base, holding.base != base {
      return "your base weights are \(DigestPrefix(holding.base)), the run's are "
        + "\(DigestPrefix(base)): use the same model files, trainable patterns and head seed"
    }
    guard (1...AggregationWeights.maximumExamples).contains(holding.examples) else {
      return "\(holding.examples) examples; a client brings from 1 to "
        + "\(AggregationWeights.maximumExamples)"
    }
    return nil
  }

  /// The version a client kept, where it is one of this run; the base is what all begin with.
  private func heldVersion(_ holding: RunReady.Holding) -> UInt32 {
    let version = Int(holding.version)
    guard version < digests.count, DigestPrefix(digests[version]) == holding.digest else {
      return 0
    }
    return holding.version
  }

  private mutating func startIfEnough(_ now: Duration, _ effects: inout Effects) {
    let wanted = configuration.schedule.startClients
    effects.actions.append(.log(.info, "\(members.count) of \(wanted) clients ready"))
    guard members.count >= wanted else { return }
    phase = .training
    // By name, so that the order of connecting decides nothing.
    for name in members.keys.sorted() { register(name, &effects) }
    for (ordinal, client) in clients.enumerated() {
      let event = SchedulerEvent.present(client: UInt32(ordinal), examples: client.examples)
      perform(scheduler.handle(event, now: now), now, &effects)
    }
    begin(now, &effects)
  }

  private mutating func register(_ name: String, _ effects: inout Effects) {
    guard let member = members[name] else { return }
    let ordinal = UInt32(clients.count)
    clients.append(Client(name: name, examples: member.examples))
    ordinals[name] = ordinal
    effects.records.append(
      .client(run: id, ordinal: ordinal, name: name, examples: member.examples)
    )
  }

  /// A client that is ready while the run is at work: a new one, or one that comes back.
  private mutating func join(_ name: String, now: Duration, _ effects: inout Effects) {
    if ordinals[name] == nil { register(name, &effects) }
    guard let ordinal = ordinals[name], let member = members[name] else { return }
    let known = clients[Int(ordinal)].examples
    if known != member.examples {
      effects.actions.append(
        .log(
          .warning,
          "client \(name) now has \(member.examples) examples; it goes on weighing \(known)"
        )
      )
    }
    if isAtWork(ordinal) { sendTask(to: ordinal, now, &effects) }
    let event = SchedulerEvent.present(client: ordinal, examples: known)
    perform(scheduler.handle(event, now: now), now, &effects)
  }
}
