// Apache-2.0.
import Codecs
import Coordination
import FederatedCore
import RunLedger
import Testing
import WireProtocol

@Suite struct CoordinatorTests {
  /// A run with all clients present from the start.
  static func undisturbed(
    clients: Int = 3,
    rounds: Int = 4,
    schedule: String = "clients: 3",
    more: String = ""
  ) throws -> VirtualFederation {
    let federation = try VirtualFederation(clients: clients)
    for index in 0..<clients { federation.connect(index) }
    federation.tell(
      .submit(ticket: 1, try VirtualFederation.run(rounds: rounds, schedule: schedule, more: more))
    )
    federation.settle()
    return federation
  }

  static func digest(_ federation: VirtualFederation, run: UInt32 = 1) -> Digest? {
    federation.machine.view(of: run)?.digest
  }

  @Test func `a run with everybody there goes through its rounds and ends`() throws {
    let federation = try Self.undisturbed()
    #expect(federation.answers[1] == .success(1))
    #expect(federation.finished.map(\.state) == [.completed])
    #expect(federation.reports.map(\.round) == [1, 2, 3, 4])
    #expect(federation.reports.allSatisfy { $0.contributors.count == 3 && $0.failures == 0 })
    #expect(try federation.contributions().count == 12)
    #expect(federation.acknowledgements.count == 12)
    #expect(federation.ends.count == 3)
    #expect(federation.ends.allSatisfy { $0.digest == Self.digest(federation) && $0.rounds == 4 })
  }

  @Test func `the order of connecting changes no bit`() throws {
    let forwards = try Self.undisturbed()
    let backwards = try VirtualFederation(clients: 3)
    backwards.tell(.submit(ticket: 1, try VirtualFederation.run()))
    for index in [2, 0, 1] {
      backwards.connect(index)
      backwards.settle()
    }
    #expect(backwards.finished.map(\.state) == [.completed])
    #expect(Self.digest(backwards) == Self.digest(forwards))
  }

  @Test func `the server says what it waits for`() throws {
    let federation = try VirtualFederation(clients: 3)
    federation.tell(.submit(ticket: 1, try VirtualFederation.run()))
    federation.connect(0)
    federation.connect(1)
    federation.settle()
    #expect(federation.machine.view(of: 1)?.detail == "2 of 3 clients ready")
    #expect(federation.reports.isEmpty)
    federation.connect(2)
    federation.settle()
    #expect(federation.finished.count == 1)
  }

  @Test func `steady rounds travel as contributions, a newcomer gets what is shorter`() throws {
    let federation = try Self.undisturbed(clients: 4, rounds: 6, schedule: "clients: 2")
    var hasRounds = false
    for sync in federation.syncs {
      if case .rounds(_, let rounds) = sync, !rounds.isEmpty { hasRounds = true }
    }
    #expect(hasRounds)
    #expect(federation.finished.map(\.state) == [.completed])
  }

  @Test func `nothing is said before it is durable`() throws {
    let federation = try VirtualFederation(clients: 3)
    for index in 0..<3 { federation.connect(index) }
    federation.settle()
    federation.tell(.submit(ticket: 1, try VirtualFederation.run(rounds: 1)))
    federation.isDiskOn = false
    federation.settle()
    #expect(federation.acknowledgements.isEmpty)
    #expect(federation.syncs.isEmpty)
    federation.releaseDisk()
    #expect(federation.syncs.count == 3)
    federation.isDiskOn = false
    federation.settle()
    #expect(federation.acknowledgements.isEmpty)
    #expect(try federation.contributions().isEmpty)
    federation.releaseDisk()
    federation.settle()
    #expect(federation.acknowledgements.count == 3)
    #expect(federation.finished.map(\.state) == [.completed])
  }

  @Test func `a result sent twice is acknowledged twice and counts once`() throws {
    let federation = try VirtualFederation(clients: 3)
    federation.clients[2].isMute = true
    for index in 0..<3 { federation.connect(index) }
    federation.tell(.submit(ticket: 1, try VirtualFederation.run(rounds: 1)))
    federation.isDiskOn = true
    federation.settle()
    let acknowledged = federation.acknowledgements.count
    #expect(acknowledged == 2)
    let again = TaskResult(
      run: 1,
      round: 0,
      digest: DigestPrefix(try #require(Self.digest(federation))),
      meanLoss: 0,
      skippedSteps: 0,
      clippedSteps: 0,
      payload: [0, 0, 0, 0, 0]
    )
    federation.inject(0, .result(again))
    federation.inject(0, .result(again))
    federation.settle()
    #expect(federation.acknowledgements.count == 4)
    #expect(try federation.contributions().count == 2)
  }

  @Test func `a result from another version is repaired by a resend, never averaged in`() throws {
    let federation = try VirtualFederation(clients: 3)
    federation.clients[1].isConfused = true
    for index in 0..<3 { federation.connect(index) }
    federation.tell(.submit(ticket: 1, try VirtualFederation.run()))
    federation.settle()
    #expect(federation.finished.map(\.state) == [.completed])
    #expect(Self.digest(federation) == Self.digest(try Self.undisturbed()))
    #expect(federation.logs.contains { $0.contains("trained from another version") })
  }

  @Test func `a late result is acknowledged and dropped`() throws {
    let federation = try Self.undisturbed(rounds: 2, schedule: "clients: 3")
    let before = try federation.contributions().count
    federation.inject(
      0,
      .result(
        TaskResult(
          run: 1,
          round: 0,
          digest: DigestPrefix(VirtualFederation.base),
          meanLoss: 0,
          skippedSteps: 0,
          clippedSteps: 0,
          payload: [1]
        )
      )
    )
    federation.settle()
    #expect(try federation.contributions().count == before)
    #expect(federation.acknowledgements.last == "1 0 client-0")
  }

  @Test func `a late result is acknowledged when it is announced, one that counts is not`() throws {
    let federation = try VirtualFederation(clients: 3)
    for index in 0..<3 { federation.connect(index) }
    federation.clients[0].isMute = true
    federation.tell(.submit(ticket: 1, try VirtualFederation.run(rounds: 2)))
    federation.settle()
    let peer = try #require(federation.clients[0].peer)
    let before = federation.acknowledgements
    // The round waits for the first client.
    federation.tell(.announced(peer, run: 1, round: 0))
    // Of a run that there is not the message is refused when it comes.
    federation.tell(.announced(peer, run: 9, round: 0))
    federation.tell(.announced(peer + 100, run: 1, round: 7))
    #expect(federation.acknowledgements == before)
    federation.tell(.announced(peer, run: 1, round: .max))
    #expect(federation.acknowledgements == before + ["1 \(UInt32.max) client-0"])
  }

  @Test func `a payload that no client could have made is refused and named`() throws {
    let federation = try VirtualFederation(clients: 3)
    federation.clients[2].isMute = true
    for index in 0..<3 { federation.connect(index) }
    federation.tell(.submit(ticket: 1, try VirtualFederation.run()))
    federation.settle()
    federation.inject(
      2,
      .result(
        TaskResult(
          run: 1,
          round: 0,
          digest: DigestPrefix(try #require(Self.digest(federation))),
          meanLoss: 0,
          skippedSteps: 0,
          clippedSteps: 0,
          payload: [1, 2]
        )
      )
    )
    federation.settle()
    #expect(federation.machine.view(of: 1)?.problems["client-2"]?.contains("2 bytes") == true)
    #expect(try federation.contributions().count == 2)
  }

  @Test func `a client with another base model is refused in words`() throws {
    let federation = try VirtualFederation(clients: 3)
    federation.preparation = .success(
      PreparedModel(base: .sha256(of: [7]), blocks: QuadraticTrainer.blocks)
    )
    for index in 0..<3 { federation.connect(index) }
    federation.tell(.submit(ticket: 1, try VirtualFederation.run()))
    federation.settle()
    #expect(federation.reports.isEmpty)
    #expect(federation.logs.contains { $0.contains("use the same model files") })
  }

  @Test func `a model that cannot be loaded ends the run with its reason, and the next begins`()
    throws
  {
    let federation = try VirtualFederation(clients: 3)
    for index in 0..<3 { federation.connect(index) }
    federation.preparation = .failure(PreparationFailure("no config.json"))
    federation.tell(.submit(ticket: 1, try VirtualFederation.run()))
    #expect(federation.finished.map(\.state) == [.failed])
    federation.preparation = .success(
      PreparedModel(base: VirtualFederation.base, blocks: QuadraticTrainer.blocks)
    )
    federation.tell(.submit(ticket: 2, try VirtualFederation.run()))
    federation.settle()
    #expect(federation.finished.map(\.state) == [.failed, .completed])
    #expect(federation.answers[2] == .success(2))
  }

  @Test func `runs wait their turn and can be stopped`() throws {
    let federation = try VirtualFederation(clients: 3)
    federation.tell(.submit(ticket: 1, try VirtualFederation.run()))
    federation.tell(.submit(ticket: 2, try VirtualFederation.run(rounds: 2)))
    #expect(federation.machine.view(of: 1)?.state == "running")
    #expect(federation.machine.view(of: 2)?.state == "queued")
    federation.tell(.stop(ticket: 3, run: 1))
    #expect(federation.answers[3] == .success(1))
    #expect(federation.machine.view(of: 2)?.state == "running")
    for index in 0..<3 { federation.connect(index) }
    federation.settle()
    #expect(federation.finished.map(\.run) == [1, 2])
    federation.tell(.stop(ticket: 4, run: 2))
    #expect(federation.answers[4] == .failure(PreparationFailure("run 2 is over already")))
  }

  @Test func `held-out scores come with the rounds`() throws {
    let federation = try Self.undisturbed(
      rounds: 5,
      more: "evaluation: { data: \"held-out\", every: 2 },"
    )
    #expect(federation.reports.map { $0.after != nil } == [false, true, false, true, true])
    let last = try #require(federation.reports.last)
    #expect(try #require(last.before).loss >= (try #require(last.after)).loss)
    #expect(last.line(nil).hasPrefix("[ROUND 5/5] sampled 3 of 3, results 3, failures 0, loss "))
  }

  @Test func `a client of another release is sent away in words`() throws {
    let federation = try VirtualFederation(clients: 1)
    federation.connect(0)
    federation.inject(0, .hello(ClientHello(version: 99, software: "future")))
    federation.settle()
    #expect(federation.logs.contains { $0.contains("use programs of one release") })
    #expect(federation.machine.connectedClients.isEmpty)
  }

  @Test func `a client that was away when its run ended is told when it comes back`() throws {
    let federation = try Self.undisturbed()
    federation.disconnect(0)
    federation.connect(0)
    federation.inject(0, .hello(ClientHello(run: 1, software: "test")))
    federation.settle()
    #expect(federation.ends.count == 4)
    #expect(federation.ends.last == federation.ends.first)
  }
}
