// Apache-2.0.
import Codecs
import Coordination
import FederatedCore
import RunLedger
import Testing
import WireProtocol

@Suite struct ScheduleTests {
  /// Shares of the weight, from first principles.
  @Test func `weights are whole, fair and sum to the whole`() throws {
    #expect(try AggregationWeights.shares(of: [1]) == [65536])
    #expect(try AggregationWeights.shares(of: [1, 1]) == [32768, 32768])
    // 65536 / 3 leaves one over: the first of equals has it.
    #expect(try AggregationWeights.shares(of: [5, 5, 5]) == [21846, 21845, 21845])
    for examples in [[1, 2, 3, 4], [1 << 40, 1, 1 << 39], Array(1...500)] as [[UInt64]] {
      let shares = try AggregationWeights.shares(of: examples)
      #expect(shares.reduce(0, +) == 65536)
      let total = Double(examples.reduce(0, +))
      for (share, count) in zip(shares, examples) {
        #expect(abs(Double(share) - 65536 * Double(count) / total) < 1)
      }
    }
    for examples in [[], [0], [1, 0], [1 << 40 + 1]] as [[UInt64]] {
      #expect(throws: FederationError.self) { try AggregationWeights.shares(of: examples) }
    }
  }

  @Test func `a round asks k of n and not the same ones each time`() throws {
    let federation = try CoordinatorTests.undisturbed(
      clients: 6,
      rounds: 8,
      schedule: "clients: 2, start_clients: 6"
    )
    #expect(federation.reports.allSatisfy { $0.sampled == 2 && $0.contributors.count == 2 })
    let groups = Set(federation.reports.map { $0.contributors.joined(separator: " ") })
    #expect(groups.count > 3)
  }

  @Test func `with over-selection the first k count and the rest are late`() throws {
    let federation = try CoordinatorTests.undisturbed(
      clients: 6,
      rounds: 3,
      schedule: "clients: 4, over_selection: 1.5, start_clients: 6"
    )
    #expect(federation.reports.count == 3)
    #expect(federation.reports.allSatisfy { $0.sampled == 6 && $0.contributors.count == 4 })
    #expect(federation.logs.contains { $0.contains("came late") })
    // The late ones were told that they need not keep their results.
    #expect(federation.acknowledgements.count == 18)
  }

  @Test func `surplus clients are told when to come back, and are asked once they are`() throws {
    let federation = try VirtualFederation(clients: 12)
    federation.tick = .seconds(1)
    for index in 0..<12 { federation.connect(index) }
    federation.tell(
      .submit(
        ticket: 1,
        try VirtualFederation.run(
          rounds: 6,
          schedule: "clients: 2, start_clients: 12, surplus: 1, deadline: \"1h\""
        )
      )
    )
    var returned = 0
    while federation.machine.view(of: 1)?.isOver == false {
      let before = federation.reports.count
      federation.settle()
      guard federation.machine.view(of: 1)?.isOver == false else { break }
      // Whoever was sent away comes back, the first before the others; rounds go on without the rest.
      let gone = federation.dismissals.dropFirst(returned).prefix(2)
      try #require(!gone.isEmpty || federation.reports.count > before, "the run stands still")
      for (client, _) in gone where federation.clients[client].peer == nil {
        federation.connect(client)
      }
      returned += gone.count
    }
    #expect(federation.reports.count == 6)
    #expect(federation.reports.allSatisfy { $0.contributors.count == 2 })
    // Before a round has closed nobody knows how long one takes. Then all but the two at work and the one
    // that stands in go, three for the next round, three for the one after it, and so on.
    let first = Array(federation.dismissals.prefix(9))
    #expect(first.count == 9)
    let waits = first.map(\.after)
    #expect(waits == waits.sorted() && waits[0] >= .seconds(1))
    #expect(waits[0] == waits[2] && waits[3] > waits[2] && waits[6] > waits[5])
    #expect(waits[6] - waits[3] == waits[3] - waits[0])
    #expect(Set(first.map(\.client)).count == 9)
  }

  @Test func `the deadline closes a round that has its minimum`() throws {
    let federation = try VirtualFederation(clients: 3)
    federation.clients[1].isMute = true
    for index in 0..<3 { federation.connect(index) }
    federation.tell(
      .submit(
        ticket: 1,
        try VirtualFederation.run(
          rounds: 1,
          schedule: "clients: 3, minimum: 2, deadline: \"60s\""
        )
      )
    )
    federation.settle()
    #expect(federation.reports.isEmpty)
    #expect(federation.machine.nextDeadline == .seconds(60))
    federation.skipToDeadline()
    #expect(federation.reports.map(\.contributors) == [["client-0", "client-2"]])
  }

  @Test func `the deadline does not close a round below its minimum`() throws {
    let federation = try VirtualFederation(clients: 3)
    federation.clients[1].isMute = true
    federation.clients[2].isMute = true
    for index in 0..<3 { federation.connect(index) }
    federation.tell(
      .submit(
        ticket: 1,
        try VirtualFederation.run(
          rounds: 1,
          schedule: "clients: 3, minimum: 2, deadline: \"60s\""
        )
      )
    )
    federation.settle()
    federation.skipToDeadline()
    #expect(federation.reports.isEmpty)
    #expect(federation.logs.contains { $0.contains("1 of at least 2 results") })
    // A client that was silent comes back and is given its task again.
    federation.clients[2].isMute = false
    federation.disconnect(2)
    federation.connect(2)
    federation.settle()
    federation.skipToDeadline()
    #expect(federation.reports.map(\.contributors) == [["client-0", "client-2"]])
  }

  @Test func `a client that is gone is replaced after a grace period`() throws {
    let federation = try VirtualFederation(clients: 4)
    for index in 0..<4 { federation.clients[index].isMute = true }
    for index in 0..<4 { federation.connect(index) }
    federation.tell(
      .submit(
        ticket: 1,
        try VirtualFederation.run(
          rounds: 1,
          schedule: "clients: 3, start_clients: 4, deadline: \"1h\""
        )
      )
    )
    federation.settle()
    #expect(federation.syncs.count == 3)
    // All four vanish and come back but one of the three asked.
    for index in 0..<4 { federation.clients[index].isMute = false }
    let asked = try federation.ledger.records(of: 1).compactMap { record -> UInt32? in
      if case .task(_, _, let client, _, _) = record { client } else { nil }
    }
    let gone = try #require(asked.first)
    for index in 0..<4 { federation.disconnect(index) }
    for index in 0..<4 where index != Int(gone) { federation.connect(index) }
    federation.settle()
    #expect(federation.reports.isEmpty)
    #expect(federation.machine.view(of: 1)?.detail.contains("1 away") == true)
    federation.skipToDeadline()
    #expect(federation.now == .seconds(30))
    #expect(federation.reports.map(\.contributors.count) == [3])
    #expect(federation.reports[0].contributors.contains("client-\(gone)") == false)
  }

  @Test func `a client that comes back within the grace period keeps its task`() throws {
    let federation = try VirtualFederation(clients: 3)
    federation.clients[0].isMute = true
    for index in 0..<3 { federation.connect(index) }
    federation.tell(.submit(ticket: 1, try VirtualFederation.run()))
    federation.settle()
    federation.clients[0].isMute = false
    federation.disconnect(0)
    federation.now += .seconds(5)
    federation.connect(0)
    federation.settle()
    #expect(federation.finished.map(\.state) == [.completed])
    #expect(
      CoordinatorTests.digest(federation)
        == CoordinatorTests.digest(try CoordinatorTests.undisturbed())
    )
  }

  @Test func `one that fails is asked again where the minimum needs it`() throws {
    let federation = try VirtualFederation(clients: 3)
    federation.clients[0].isMute = true
    for index in 0..<3 { federation.connect(index) }
    federation.tell(.submit(ticket: 1, try VirtualFederation.run()))
    federation.settle()
    federation.inject(0, .failure(.init(run: 1, text: "out of memory")))
    federation.settle()
    #expect(federation.machine.view(of: 1)?.problems["client-0"] == "out of memory")
    federation.clients[0].isMute = false
    federation.skipToDeadline()
    #expect(federation.finished.map(\.state) == [.completed])
  }

  @Test func `who joins in the middle takes part from then on`() throws {
    let federation = try VirtualFederation(clients: 4)
    federation.clients[0].isMute = true
    for index in 0..<3 { federation.connect(index) }
    federation.tell(
      .submit(
        ticket: 1,
        try VirtualFederation.run(rounds: 6, schedule: "clients: 3, minimum: 2, deadline: \"40s\"")
      )
    )
    federation.settle()
    federation.skipToDeadline()
    federation.clients[0].isMute = false
    federation.connect(3)
    federation.settle()
    while federation.finished.isEmpty, federation.skipToDeadline() {}
    #expect(federation.machine.view(of: 1)?.clients.count == 4)
    #expect(federation.reports.contains { $0.contributors.contains("client-3") })
  }
}
