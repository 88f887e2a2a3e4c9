// Apache-2.0.
import Codecs
import Coordination
import FederatedCore
import Participation
import RunLedger
import SharedRandomness
import WireProtocol

/// The production coordinator with a ledger in memory, a clock that only moves when told, and
/// production participants over real messages.
final class VirtualFederation {
  static let base = Digest.sha256(of: [42])

  var machine: CoordinatorMachine
  let ledger: Ledger
  var now: Duration = .zero
  /// What the clock moves by with every message.
  var tick: Duration = .zero
  var clients: [VirtualClient]
  /// Actions the test wants to look at.
  private(set) var reports: [RoundReport] = []
  private(set) var finished: [(run: UInt32, state: RunState, reason: String)] = []
  private(set) var answers: [UInt64: Result<UInt32, PreparationFailure>] = [:]
  private(set) var logs: [String] = []
  private(set) var dismissals: [(client: Int, after: Duration)] = []
  private(set) var acknowledgements: [String] = []
  private(set) var syncs: [VersionSync] = []
  private(set) var ends: [RunEnd] = []
  /// Messages a client sent and the server has not seen.
  private var inbox: [(PeerNumber, Message)] = []
  private var nextPeer: PeerNumber = 0
  /// Whether commits complete at once; held back until `releaseDisk` otherwise.
  var isDiskOn = true
  /// Commits until the server dies, before or after the records are written.
  var lifetime: (commits: Int, writesLast: Bool)?
  private(set) var isDead = false
  private var heldCommits: [(UInt64, [LedgerRecord])] = []
  var preparation: Result<PreparedModel, PreparationFailure> = .success(
    PreparedModel(base: base, blocks: QuadraticTrainer.blocks)
  )

  private let retention: Retention?

  init(clients count: Int, retention: Retention? = nil) throws {
    ledger = try Ledger(path: ":memory:")
    self.retention = retention
    machine = try CoordinatorMachine(retention: retention)
    clients = (0..<count).map {
      VirtualClient(name: "client-\($0)", examples: 10 + $0)
    }
    perform(machine.start(now: now))
  }

  /// A run file for the quadratic trainer.
  static func run(
    rounds: Int = 4,
    schedule: String = "clients: 3",
    algorithm: String = """
    name: "fedkseed", seeds: 64, steps: 5, learning_rate: 0.002, clip: 50
    """,
    more: String = ""
  ) throws -> RunConfiguration {
    try RunConfiguration(
      json5: Array(
        """
        {
          name: "test", model: "none", rounds: \(rounds), seed: 5,
          algorithm: { \(algorithm) },
          schedule: { \(schedule) }, \(more)
        }
        """.utf8
      )
    )
  }

  /// Connects a client and lets it say hello.
  func connect(_ index: Int) {
    nextPeer += 1
    clients[index].peer = nextPeer
    tell(.connected(nextPeer, name: clients[index].name))
    say(index, .connected)
  }

  /// What a client says to an event is on its way to the server.
  private func say(_ index: Int, _ event: ParticipantEvent) {
    do {
      let peer = clients[index].peer
      for message in try clients[index].answer(event) {
        if let peer { inbox.append((peer, message)) }
      }
    } catch {
      logs.append("\(clients[index].name): \(error)")
    }
  }

  func disconnect(_ index: Int) {
    guard let peer = clients[index].peer else { return }
    clients[index].peer = nil
    say(index, .closed)
    inbox.removeAll { $0.0 == peer }
    tell(.closed(peer))
  }

  func tell(_ event: CoordinatorEvent) { perform(machine.handle(event, now: now)) }

  /// A message of a client arrives out of turn.
  func inject(_ index: Int, _ message: Message) {
    if let peer = clients[index].peer { inbox.append((peer, message)) }
  }

  /// Delivers messages until nobody has anything to say.
  func settle() {
    while !inbox.isEmpty, !isDead {
      let (peer, message) = inbox.removeFirst()
      now += tick
      tell(.received(peer, message))
    }
  }

  /// Moves the clock to the next deadline of the machine.
  @discardableResult
  func skipToDeadline() -> Bool {
    guard let due = machine.nextDeadline else { return false }
    now = max(now, due)
    tell(.timer)
    settle()
    return true
  }

  /// The server dies and comes back from its ledger; connections are gone.
  func crash() throws {
    heldCommits = []
    inbox = []
    isDiskOn = true
    isDead = false
    lifetime = nil
    var records: [(run: UInt32, records: [LedgerRecord])] = []
    for run in try ledger.runs() { records.append((run, try Self.pruned(ledger.records(of: run)))) }
    machine = try CoordinatorMachine(recovering: records, retention: retention)
    for index in clients.indices where clients[index].peer != nil {
      clients[index].peer = nil
      say(index, .closed)
    }
    perform(machine.start(now: now))
  }

  /// Records without the payloads that the last checkpoint has made needless.
  static func pruned(_ records: [LedgerRecord]) -> [LedgerRecord] {
    let last = records.lastIndex { if case .checkpoint = $0 { true } else { false } }
    guard let last, case .checkpoint(_, _, let pending, _) = records[last] else { return records }
    return records.enumerated().map { index, record in
      guard index < last, case .contribution(let run, let round, let client, let loss, _) = record,
        !pending.contains(.init(client: client, base: round))
      else { return record }
      return .contribution(run: run, round: round, client: client, loss: loss, payload: [])
    }
  }

  /// Contributions in the ledger, by (round, client).
  func contributions(of run: UInt32 = 1) throws -> [[UInt32]] {
    try ledger.records(of: run).compactMap {
      if case .contribution(_, let round, let client, _, _) = $0 { [round, client] } else { nil }
    }
  }

  /// Completes commits that were held back, and those that they lead to behind them.
  func releaseDisk() {
    while !heldCommits.isEmpty {
      let (id, records) = heldCommits.removeFirst()
      write(id, records)
    }
    isDiskOn = true
  }

  /// `settle` with a disk so slow that everybody has spoken before it answers.
  func settleSlowly() {
    repeat {
      isDiskOn = false
      settle()
      releaseDisk()
    } while !inbox.isEmpty && !isDead
  }

  private func write(_ id: UInt64, _ records: [LedgerRecord]) {
    do {
      if let left = lifetime?.commits, left == 0 {
        isDead = true
        if lifetime?.writesLast == true { try ledger.commit(records) }
        return
      }
      lifetime?.commits -= 1
      try ledger.commit(records)
      tell(.committed(id))
    } catch {
      logs.append("ledger: \(error)")
    }
  }

  private func perform(_ actions: [CoordinatorAction]) {
    for action in actions where !isDead {
      switch action {
      case .send(let peer, let message): deliver(message, to: peer)
      case .broadcast(let peers, let message): for peer in peers { deliver(message, to: peer) }
      case .close(let peer):
        if let index = clients.firstIndex(where: { $0.peer == peer }) { disconnect(index) }
      case .dismiss(let peer, let after):
        if let index = clients.firstIndex(where: { $0.peer == peer }) {
          dismissals.append((index, after))
          disconnect(index)
        }
      case .commit(let id, let records):
        if isDiskOn { write(id, records) } else { heldCommits.append((id, records)) }
      case .prepare(let run, _): tell(.prepared(run: run, preparation))
      case .evaluate(let run, let version, let updates):
        var trainer: any LocalTrainer = QuadraticTrainer(client: 1)
        do {
          try trainer.load(updates)
          let probe = try trainer.probe(
            Direction.first,
            epsilon: 0,
            at: StepAddress(round: 0, client: 0, step: 0)
          )
          let score = VersionScore(loss: Double(probe.plus), accuracy: nil)
          tell(.evaluated(run: run, version: version, .success(score)))
        } catch {
          tell(.evaluated(run: run, version: version, .failure(PreparationFailure("\(error)"))))
        }
      case .answer(let ticket, let result): answers[ticket] = result
      case .log(_, let text): logs.append(text)
      case .folded: break
      case .report(let report): reports.append(report)
      case .finished(let run, let state, let reason): finished.append((run, state, reason))
      }
    }
  }

  /// Through the bytes of the wire and into the client.
  private func deliver(_ message: Message, to peer: PeerNumber) {
    guard let index = clients.firstIndex(where: { $0.peer == peer }) else { return }
    do {
      let read = try Message(kind: message.kind.rawValue, body: message.body)
      say(index, .received(read))
      switch read {
      case .acknowledged(let run, let round):
        acknowledgements.append("\(run) \(round) \(clients[index].name)")
      case .task(let order): syncs.append(order.sync)
      case .runEnd(let end): ends.append(end)
      case .failure(let failure): logs.append("to \(clients[index].name): \(failure.text)")
      default: break
      }
    } catch {
      logs.append("\(clients[index].name): \(error)")
    }
  }
}
