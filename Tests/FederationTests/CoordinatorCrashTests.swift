// Apache-2.0.
import Codecs
import Coordination
import FederatedCore
import RunLedger
import Testing
import WireProtocol

@Suite struct CoordinatorCrashTests {
  static let more = "evaluation: { data: \"held-out\" },"

  /// No checkpoints, one a round, one every three.
  static let retentions: [Retention?] = [
    nil, Retention(rounds: 1, greatPayload: 0), Retention(rounds: 3, greatPayload: 0),
  ]

  @Test(arguments: [true, false], retentions)
  func `a death at any commit changes no bit and loses nothing acknowledged`(
    writesLast: Bool,
    retention: Retention?
  ) throws {
    let whole = try CoordinatorTests.undisturbed(more: Self.more)
    let digest = try #require(CoordinatorTests.digest(whole))
    var deaths = 0
    for commits in 0..<100 {
      let federation = try VirtualFederation(clients: 3, retention: retention)
      federation.lifetime = (commits, writesLast)
      for index in 0..<3 { federation.connect(index) }
      federation.tell(.submit(ticket: 1, try VirtualFederation.run(more: Self.more)))
      federation.settle()
      guard federation.isDead else { break }
      deaths += 1
      let acknowledged = federation.acknowledgements
      let durable = Set(try federation.contributions())
      for line in acknowledged {
        let words = line.split(separator: " ")
        let round = try #require(UInt32(words[1]))
        let client = try #require(UInt32(words[2].dropFirst("client-".count)))
        #expect(durable.contains([round, client]))
      }
      try federation.crash()
      if federation.machine.view(of: 1) == nil {
        // The run itself was not durable: nobody was told that it was accepted.
        #expect(federation.answers.isEmpty)
        continue
      }
      for index in [1, 2, 0] {
        federation.connect(index)
        federation.settle()
      }
      #expect(federation.finished.last?.state ?? .completed == .completed)
      #expect(federation.machine.view(of: 1)?.state == "completed", "commit \(commits)")
      #expect(CoordinatorTests.digest(federation) == digest, "commit \(commits)")
      let counted = try federation.contributions()
      #expect(Set(counted).count == counted.count)
      #expect(counted.count == 12, "commit \(commits)")
    }
    #expect(deaths > 12)
  }

  @Test(
    arguments: ["fedbuff", "fedasync", "fedcompass", "tiered"],
    [(true, nil), (false, retentions[1]), (true, retentions[2])] as [(Bool, Retention?)]
  )
  func `a death at any commit stalls no run without rounds`(
    policy: String,
    way: (writesLast: Bool, retention: Retention?)
  ) throws {
    let run = try VirtualFederation.run(
      rounds: 12,
      schedule: "policy: \"\(policy)\", clients: 3, buffer: 2, lease: \"1h\""
    )
    for commits in 2..<200 {
      let federation = try VirtualFederation(clients: 3, retention: way.retention)
      federation.tick = .milliseconds(7)
      federation.lifetime = (commits, way.writesLast)
      for index in 0..<3 { federation.connect(index) }
      federation.tell(.submit(ticket: 1, run))
      federation.settleSlowly()
      while !federation.isDead, federation.skipToDeadline() {}
      guard federation.isDead else { return }
      let death = federation.now
      try federation.crash()
      for index in [1, 2, 0] { federation.connect(index) }
      federation.settleSlowly()
      while federation.machine.view(of: 1)?.isOver == false, federation.skipToDeadline() {}
      #expect(federation.machine.view(of: 1)?.state == "completed", "commit \(commits)")
      // Nobody was given up by the lease to get there.
      #expect(federation.now - death < .seconds(600), "commit \(commits)")
      let counted = try federation.contributions()
      #expect(Set(counted).count == counted.count, "commit \(commits)")
      #expect(
        try CoordinatorMachine(
          recovering: [(1, VirtualFederation.pruned(federation.ledger.records(of: 1)))]
        ).view(of: 1)?.digest == CoordinatorTests.digest(federation)
      )
    }
    Issue.record("the run never got to its end")
  }

  @Test func `a run that dies at every few commits still ends in the same bits`() throws {
    let digest = CoordinatorTests.digest(try CoordinatorTests.undisturbed(rounds: 8))
    let federation = try VirtualFederation(clients: 3)
    federation.tell(.submit(ticket: 1, try VirtualFederation.run(rounds: 8)))
    var deaths = 0
    while federation.machine.view(of: 1)?.isOver == false, deaths < 100 {
      federation.lifetime = (2, deaths % 2 == 0)
      for index in 0..<3 where !federation.isDead {
        federation.connect(index)
        federation.settle()
      }
      if federation.isDead {
        deaths += 1
        try federation.crash()
      }
    }
    #expect(deaths > 8)
    #expect(CoordinatorTests.digest(federation) == digest)
  }

  @Test func `a ledger whose fold leads elsewhere is refused`() throws {
    let federation = try CoordinatorTests.undisturbed(rounds: 2)
    var records = try federation.ledger.records(of: 1)
    let index = try #require(
      records.firstIndex { if case .aggregation = $0 { true } else { false } }
    )
    guard case .aggregation(let run, let round, let weights, _) = records[index] else { return }
    records[index] = .aggregation(
      run: run,
      round: round,
      weights: weights,
      digest: .sha256(of: [])
    )
    #expect(throws: RecoveryError.digest(run: 1, round: 0)) {
      _ = try CoordinatorMachine(recovering: [(1, records)])
    }
    records.removeFirst()
    #expect(throws: RecoveryError.self) {
      _ = try CoordinatorMachine(recovering: [(1, records)])
    }
  }

  @Test func `a run that makes steps equal twice goes on as it began, a new one is refused`() throws
  {
    let schedule = "policy: \"fedcompass\", clients: 3, normalize: true"
    let run = try VirtualFederation.run(
      schedule: schedule,
      algorithm: "name: \"fednova\", steps: 5, learning_rate: 0.05"
    )
    let federation = try VirtualFederation(clients: 3)
    federation.tell(.submit(ticket: 1, run))
    guard case .failure(let failure)? = federation.answers[1] else {
      Issue.record("it was taken in")
      return
    }
    #expect("\(failure)".contains("schedule.normalize"))
    // As a program took it in that did not refuse it yet.
    try federation.ledger.commit([.run(id: 1, name: "old", configuration: run.encoded)])
    try federation.crash()
    for index in 0..<3 { federation.connect(index) }
    federation.settleSlowly()
    while federation.machine.view(of: 1)?.isOver == false, federation.skipToDeadline() {}
    #expect(federation.machine.view(of: 1)?.state == "completed")
    let digest = CoordinatorTests.digest(federation)
    try federation.crash()
    #expect(CoordinatorTests.digest(federation) == digest)
  }

  @Test func `a model folder that changed under a run ends it in words`() throws {
    let federation = try VirtualFederation(clients: 3)
    federation.tell(.submit(ticket: 1, try VirtualFederation.run()))
    federation.preparation = .success(
      PreparedModel(base: .sha256(of: [9]), blocks: QuadraticTrainer.blocks)
    )
    try federation.crash()
    #expect(federation.machine.view(of: 1)?.state == "failed")
    #expect(federation.machine.view(of: 1)?.detail.contains("has changed since") == true)
  }
}
