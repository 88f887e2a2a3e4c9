// Apache-2.0.
public import Codecs
public import FederatedCore
import RunLedger
import Telemetry

/// Runs: submitted, stopped, looked at.
extension CoordinatorMachine {
  mutating func submit(
    _ ticket: UInt64,
    _ configuration: RunConfiguration,
    _ effects: inout Effects
  ) {
    let id = (runs.keys.max() ?? 0) + 1
    do {
      runs[id] = try RunMachine(
        id: id,
        configuration: configuration,
        retention: retention,
        isNew: true
      )
    } catch {
      effects.actions.append(.answer(ticket: ticket, .failure(PreparationFailure("\(error)"))))
      return
    }
    effects.records.append(
      .run(id: id, name: configuration.name, configuration: configuration.encoded)
    )
    effects.actions.append(.log(.info, "run \(id) (\(configuration.name)) submitted"))
    effects.steps.append(.act(.answer(ticket: ticket, .success(id))))
    if active == nil { activate(&effects) }
  }

  mutating func stop(_ ticket: UInt64, _ id: UInt32, _ effects: inout Effects) {
    guard let run = runs[id], !run.isOver else {
      let text = runs[id] == nil ? "there is no run \(id)" : "run \(id) is over already"
      effects.actions.append(.answer(ticket: ticket, .failure(PreparationFailure(text))))
      return
    }
    update(id) { $0.end(.stopped, "stopped by request", &effects) }
    effects.steps.append(.act(.answer(ticket: ticket, .success(id))))
  }

  /// Turns to the oldest run that is not over.
  mutating func activate(_ effects: inout Effects) {
    guard active == nil, let next = runs.keys.sorted().first(where: { runs[$0]?.isOver == false })
    else { return }
    active = next
    guard let run = runs[next] else { return }
    effects.steps.append(.act(.prepare(run: next, run.configuration)))
  }

  /// What can be said about a run.
  public struct RunView: Sendable {
    /// Its number.
    public let id: UInt32
    /// Its configuration.
    public let configuration: RunConfiguration
    /// Where it stands.
    public let state: String
    /// Why it ended or what it waits for.
    public let detail: String
    /// Rounds done.
    public let round: UInt32
    /// Whether it is over.
    public let isOver: Bool
    /// Digest of the version it has come to.
    public let digest: Digest?
    /// Digest of its base weights.
    public let base: Digest?
    /// Latest held-out score and its version.
    public let score: (version: UInt32, score: VersionScore)?
    /// Names of the clients that took part, by ordinal.
    public let clients: [String]
    /// Names of the clients that are connected and ready.
    public let ready: [String]
    /// Last words of clients that failed, by name.
    public let problems: [String: String]
    /// What the version adds to the base weights.
    public let updates: @Sendable () throws -> [WeightUpdate]
  }

  /// A run, nil where there is none of that number.
  public func view(of id: UInt32) -> RunView? {
    guard let run = runs[id] else { return nil }
    let state: String
    var detail = run.waitingFor ?? ""
    switch run.phase {
    case .ended(let outcome, let reason):
      state = outcome.rawValue
      detail = reason
    default: state = id == active ? "running" : "queued"
    }
    let session = run.session
    return RunView(
      id: id,
      configuration: run.configuration,
      state: state,
      detail: detail,
      round: run.round,
      isOver: run.isOver,
      digest: run.digests.last,
      base: run.base,
      score: run.scores.max { $0.key < $1.key }.map { ($0.key, $0.value) },
      clients: run.clients.map(\.name),
      ready: run.members.keys.sorted(),
      problems: run.problems,
      updates: { try session.weightUpdates() }
    )
  }

  /// The algorithm at the version that a run has come to, nil where there is no such run.
  ///
  /// What its `check` finds on another thread, that of the run need not find again.
  public func session(of run: UInt32) -> (any AlgorithmSession)? { runs[run]?.session }

  /// The oldest version of a run from which clients are led on without a snapshot.
  public func oldestVersionKept(of run: UInt32) -> UInt32 { runs[run]?.history.first ?? 0 }

  /// Numbers of all runs, oldest first.
  public var runNumbers: [UInt32] { runs.keys.sorted() }

  /// Names of the clients that are connected.
  public var connectedClients: [String] { peerOf.keys.sorted() }
}

extension CoordinatorMachine.RunView {
  /// The run as JSON.
  public var json: JSONValue {
    .object([
      .init("run", .integer(Int64(id))),
      .init("name", .string(configuration.name)),
      .init("state", .string(state)),
      .init("detail", .string(detail)),
      .init("round", .integer(Int64(round))),
      .init("rounds", .integer(Int64(configuration.rounds))),
      .init("digest", digest.map { .string($0.description) } ?? .null),
      .init("base", base.map { .string($0.description) } ?? .null),
      .init("loss", score.map { .number($0.score.loss) } ?? .null),
      .init("accuracy", score?.score.accuracy.map { .number($0) } ?? .null),
      .init("evaluated_version", score.map { .integer(Int64($0.version)) } ?? .null),
      .init("clients", .array(clients.map { .string($0) })),
      .init("ready", .array(ready.map { .string($0) })),
      .init(
        "problems",
        .object(problems.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) })
      ),
    ])
  }
}
