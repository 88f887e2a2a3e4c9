// Apache-2.0.
import Codecs
import FederatedCore
public import RunLedger
import WireProtocol

/// The server as a value: it is told what happens and says what to do.
///
/// It touches no clock, no socket and no file; `fedserver` and `fedsim` drive the same one.
///
/// Nothing that depends on a record leaves before the record is durable: messages wait behind the
/// `commit` they belong to until the shell answers `committed`, in order.
public struct CoordinatorMachine: Sendable {
  struct Peer: Sendable {
    let name: String
    var hasGreeted = false
  }

  var runs: [UInt32: RunMachine] = [:]
  /// The run at work; the others wait in order of their numbers.
  var active: UInt32?
  var peers: [PeerNumber: Peer] = [:]
  var peerOf: [String: PeerNumber] = [:]
  /// When the shell must send `timer` at the latest.
  public private(set) var nextDeadline: Duration?
  private var lastCommit: UInt64 = 0
  /// What waits behind each commit under way.
  private var gates: [UInt64: [Effects.Step]] = [:]
  let software: String
  let retention: Retention?

  /// A coordinator with the runs that a ledger holds, each with its records in order.
  ///
  /// - Parameters:
  ///   - records: `Ledger.records(of:)` of every run; none for a fresh server.
  ///   - software: program and version, told to clients.
  ///   - retention: how long great payloads are kept; nil for ever.
  /// - Throws: `RecoveryError` where the records do not lead to the versions they name.
  public init(
    recovering records: [(run: UInt32, records: [LedgerRecord])] = [],
    software: String = "samara",
    retention: Retention? = nil
  ) throws {
    self.software = software
    self.retention = retention
    for (run, records) in records {
      runs[run] = try RunMachine(id: run, records: records, retention: retention)
    }
  }

  /// A coordinator with the runs that a ledger holds; great payloads are in memory one round at a time.
  ///
  /// - Throws: `LedgerError`, or `RecoveryError` where the records do not lead to the versions they name.
  public init(
    recovering ledger: borrowing Ledger,
    software: String = "samara",
    retention: Retention? = nil
  ) throws {
    self.software = software
    self.retention = retention
    for run in try ledger.runs() {
      let version = try ledger.checkpointedVersion(of: run)
      runs[run] = try RunMachine(id: run, from: version, retention: retention) {
        try ledger.forEachRecord(of: run, $0)
      }
    }
  }

  /// What to do first: goes on with the oldest run that is not over.
  public mutating func start(now: Duration) -> [CoordinatorAction] {
    var effects = Effects()
    activate(&effects)
    return finish(effects)
  }

  /// Takes in an event and says what to do, in order.
  public mutating func handle(_ event: CoordinatorEvent, now: Duration) -> [CoordinatorAction] {
    var effects = Effects()
    // What was due before the event happened comes first: an arrival is late only by the clock.
    if let active, let due = nextDeadline, due <= now {
      update(active) { $0.timer(now: now, &effects) }
    }
    switch event {
    case .connected(let peer, let name): connected(peer, name, now, &effects)
    case .received(let peer, let message): received(peer, message, now, &effects)
    case .announced(let peer, let run, let round): announced(peer, run, round, &effects)
    case .closed(let peer): closed(peer, now, &effects)
    case .committed(let commit): committed(commit, now, &effects)
    case .timer: break
    case .submit(let ticket, let configuration): submit(ticket, configuration, &effects)
    case .stop(let ticket, let run): stop(ticket, run, &effects)
    case .prepared(let run, let result):
      update(run) { $0.prepared(result, now: now, &effects) }
      offerToAll(run, &effects)
    case .evaluated(let run, let version, let result):
      update(run) { $0.scored(version, result, &effects) }
    }
    var standing = self.standing
    if active != nil, standing?.isOver ?? true {
      active = nil
      activate(&effects)
      standing = self.standing
    }
    nextDeadline = standing?.deadline
    return finish(effects)
  }

  /// Has a run change where it lies; nil where there is none of that number.
  ///
  /// `runs[id]?` would make a copy of all it holds, at every event.
  @discardableResult mutating func update<Value>(
    _ id: UInt32,
    _ body: (inout RunMachine) -> Value
  ) -> Value? {
    guard let index = runs.index(forKey: id) else { return nil }
    return body(&runs.values[index])
  }

  /// Where the run at work stands.
  private var standing: (isOver: Bool, deadline: Duration?)? {
    mutating get { active.flatMap { update($0) { $0.standing() } } }
  }

  /// Turns what an event came to into actions: a commit, and behind it what must wait.
  private mutating func finish(_ effects: Effects) -> [CoordinatorAction] {
    var actions = effects.actions
    if !effects.records.isEmpty {
      lastCommit += 1
      gates[lastCommit] = effects.steps
      actions.append(.commit(lastCommit, effects.records))
    } else if gates[lastCommit] != nil {
      // Nothing new to write, but what is said may rest on the commit under way.
      gates[lastCommit]?.append(contentsOf: effects.steps)
    } else {
      for case .act(let action) in effects.steps { actions.append(action) }
    }
    return actions
  }

  private mutating func committed(
    _ commit: UInt64,
    _ now: Duration,
    _ effects: inout Effects
  ) {
    guard let steps = gates.removeValue(forKey: commit) else { return }
    for step in steps {
      switch step {
      case .act(let action): effects.actions.append(action)
      case .arrived(let run, let key): update(run) { $0.arrived(key, now: now, &effects) }
      }
    }
  }
}
