// Apache-2.0.
import Codecs
import Coordination
import FederatedCore
import RunLedger
import TestSupport
import Testing
import Transport
import WireProtocol

/// The daemon's parts with real connections, disks and threads.
@Suite(.timeLimit(.minutes(10))) struct ServiceTests {
  /// A server with clients `client-0`, `client-1`, … as `VirtualFederation` has them.
  static func federation(
    _ folder: String,
    clients count: Int
  ) throws -> (server: WireServer, clients: [WireClient], identities: [ClientIdentity]) {
    let server = try WireServer(folder)
    let identities = try (0..<count).map { try server.enrol("client-\($0)") }
    let clients = try identities.enumerated().map { index, identity in
      try WireClient(identity, base: VirtualFederation.base, examples: 10 + index)
    }
    return (server, clients, identities)
  }

  static func submit(_ run: RunConfiguration, to folder: String) async throws -> JSONValue? {
    let line = try await AdminLine.open(folder)
    defer { line.stop() }
    return await line.ask("submit", [.init("configuration", run.json)])
  }

  @Test func `a run over TLS comes to the bits of one in memory`() async throws {
    let folder = TemporaryFolder()
    let memory = try CoordinatorTests.undisturbed(rounds: 6)
    let (server, clients, _) = try Self.federation(folder.path, clients: 3)
    let answer = try await Self.submit(try VirtualFederation.run(rounds: 6), to: folder.path)
    #expect(answer?["run"] == .integer(1))
    for client in clients {
      let end = await client.ends.first { _ in true }
      #expect(end?.outcome == .completed)
      #expect(end?.digest == CoordinatorTests.digest(memory))
      client.stop()
    }
    server.stop()
    #expect(server.reports.map(\.0.round) == [1, 2, 3, 4, 5, 6])
    #expect(server.reports.allSatisfy { $0.0.contributors.count == 3 && $0.1 != nil })
  }

  @Test func `a server that drains and starts again loses nothing`() async throws {
    let folder = TemporaryFolder()
    let memory = try CoordinatorTests.undisturbed(rounds: 60)
    var server: WireServer? = try WireServer(folder.path)
    let port = try #require(server?.server.addresses.first?.port)
    var clients: [WireClient] = []
    for index in 0..<3 {
      let identity = try #require(try server?.enrol("client-\(index)"))
      clients.append(
        try WireClient(identity, base: VirtualFederation.base, examples: 10 + index)
      )
    }
    _ = try await Self.submit(try VirtualFederation.run(rounds: 60), to: folder.path)
    for _ in 0..<4 {
      // The run is at work; a round passes.
      let line = try await AdminLine.open(folder.path)
      let answer = await line.ask("watch", [.init("run", .integer(1))])
      // A run that is over already has no more lines.
      if answer?["done"] == nil { _ = await line.next() }
      line.stop()
      server?.stop()
      server = nil
      server = try WireServer(folder.path, port: port)
    }
    for client in clients {
      let end = await client.ends.first { _ in true }
      #expect(end?.outcome == .completed)
      #expect(end?.digest == CoordinatorTests.digest(memory))
      #expect(client.notes.problems.isEmpty)
      client.stop()
    }
    server?.stop()
    let ledger = try Ledger(path: "\(folder.path)/ledger.sqlite")
    var counted: [[UInt32]] = []
    for case .contribution(_, let round, let client, _, _) in try ledger.records(of: 1) {
      counted.append([round, client])
    }
    #expect(counted.count == 180)
    #expect(Set(counted).count == 180)
  }

  @Test func `orders over the administration socket`() async throws {
    let folder = TemporaryFolder()
    let (server, clients, _) = try Self.federation(folder.path, clients: 2)
    let line = try await AdminLine.open(folder.path)
    #expect(await line.ask("dance")?["error"] == .string("there is no command dance"))
    #expect(await line.ask("stop", [.init("run", .integer(1))])?["error"] != nil)
    let run = try VirtualFederation.run()
    let watcher = try await AdminLine.open(folder.path)
    _ = await line.ask("submit", [.init("configuration", run.json)])
    let status = await watcher.ask("watch", [.init("run", .integer(1))])
    #expect(status?["status"]?["state"] == .string("running"))
    #expect(await line.ask("stop", [.init("run", .integer(1))])?["done"] == .bool(true))
    let end = await watcher.next()
    #expect(end?["end"]?["state"] == .string("stopped"))
    #expect(end?["done"] == .bool(true))
    let list = await line.ask("list")
    guard case .array(let entries)? = list?["clients"] else {
      Issue.record("no list: \(String(describing: list))")
      return
    }
    #expect(entries.count == 2)
    #expect(await line.ask("revoke", [.init("name", .string("client-1"))])?["done"] == .bool(true))
    #expect(await line.ask("revoke", [.init("name", .string("nobody"))])?["error"] != nil)
    line.stop()
    watcher.stop()
    for client in clients { client.stop() }
    server.stop()
  }

  @Test func `a result of 200 steps and a version of 4096 seeds fit their budgets`() async throws {
    let folder = TemporaryFolder()
    let (server, clients, _) = try Self.federation(folder.path, clients: 10)
    let run = try RunConfiguration(
      json5: Array(
        """
        {
          name: "budget", model: "none", rounds: 100000, seed: 5,
          algorithm: { name: "fedkseed", seeds: 4096, steps: 200, learning_rate: 0.002, clip: 50 },
          schedule: { clients: 10 },
        }
        """.utf8
      )
    )
    let watcher = try await AdminLine.open(folder.path)
    _ = await watcher.ask("submit", [.init("configuration", run.json)])
    _ = await watcher.ask("watch", [.init("run", .integer(1))])
    for _ in 0..<2 { _ = await watcher.next() }
    // One that comes when rounds are done gets the version whole. The run goes on, a line a round,
    // until it had its share.
    let late = try WireClient(
      try server.enrol("late"),
      base: VirtualFederation.base,
      examples: 10
    )
    while late.notes.tasks.count < 3 { #expect(await watcher.next()?["end"] == nil) }
    watcher.stop()
    let line = try await AdminLine.open(folder.path)
    #expect(await line.ask("stop", [.init("run", .integer(1))])?["done"] == .bool(true))
    line.stop()
    for client in clients + [late] {
      #expect(await client.ends.first { _ in true }?.outcome == .stopped)
      let tasks = client.notes.tasks
      let first = try #require(tasks.first?.traffic)
      // Handshake, hello, run file, first task.
      #expect(first.received + first.sent <= 18_000)
      for (before, after) in zip(tasks, tasks.dropFirst()) where after.round == before.round + 1 {
        #expect(after.traffic.sent - before.traffic.sent <= 400)
        #expect(after.traffic.received - before.traffic.received <= 4000)
      }
      client.stop()
    }
    // The server sees the same bytes.
    #expect(server.reports.dropFirst().allSatisfy { $0.1.map { $0.up <= 400 } ?? false })
    server.stop()
  }
}
