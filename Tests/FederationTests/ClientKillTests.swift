// Apache-2.0.
import Codecs
import Coordination
import FederatedCore
import Glibc
import SimulatedFederation
import Testing

/// Real clients that are killed again and again, at moments that a seed chooses, and the server now and
/// then; by itself it is killed in `KillTests`.
@Suite struct ClientKillTests {
  @Test(
    arguments: [
      "name: \"fedkseed\", seeds: 64, steps: 4, learning_rate: 1e-4",
      // A version of 23,200 integers, and what each client has not sent.
      "name: \"fedavg\", steps: 2, learning_rate: 0.02, codec: \"block8\"",
    ]
  )
  func `clients and server killed at any moment change no bit`(algorithm: String) async throws {
    let tiny = try TinyModel(clients: 3)
    let run = try tiny.run(rounds: 40, clients: 3, algorithm: algorithm)
    var simulation = try SimulatedFederation(run, work: try SimulatedModel(run), workers: 1)
    let expected = try #require(try simulation.run().view.digest)
    let scene = try await ClientScene(tiny)
    var moments = SplitMix(state: UInt64(KillTests.seed))
    var kills = 0
    var runs = 0
    while kills < KillTests.kills {
      runs += 1
      try await scene.submit(run)
      while try await scene.state(of: runs) == "running" {
        if kills < KillTests.kills {
          // The moment is the point: from before the client has its model to many rounds later.
          try await Task.sleep(for: .milliseconds(Int(moments.next() % 250)))
          let victim = Int(moments.next() % 8)
          if victim == 7 {
            try await scene.killServer()
          } else {
            try scene.killClient(victim % 3)
          }
          kills += 1
        } else {
          try await scene.end(of: runs)
        }
      }
      #expect(try await scene.field("digest", of: runs) == "\(expected)", "\(kills) kills")
    }
    #expect(scene.stop() == [0, 0, 0, 0])
  }
}

/// Server and clients as processes on a tiny model.
final class ClientScene {
  private let server: ServerProcess
  private let clients: [ServerProcess]
  private let folder: String
  private var line: AdminLine

  init(_ tiny: borrowing TinyModel) async throws {
    folder = "\(tiny.path)/server"
    let log = "\(tiny.path)/log"
    let listen = "127.0.0.1:\(KillScene.freePort())"
    _ = try ServerProcess.run("fedserver", ["init", folder, "--listen", listen], log: log)
    server = try ServerProcess("fedserver", ["run", "--dir", folder, "--threads", "1"], log: log)
    line = try await AdminLine.open(folder)
    var clients: [ServerProcess] = []
    for index in 0..<3 {
      let name = "client-\(index)"
      let answer = await line.ask(
        "enroll",
        [.init("name", .string(name)), .init("lifetime", .integer(60))]
      )
      guard case .string(let token)? = answer?["token"] else { throw ServerSilence() }
      let place = ["--dir", "\(tiny.path)/\(name)"]
      #expect(try ServerProcess.run("fedclient", ["join", token] + place, log: log) == 0)
      clients.append(
        try ServerProcess(
          "fedclient",
          ["run", "--data", tiny.files[index], "--threads", "1"] + place,
          log: log
        )
      )
    }
    self.clients = clients
  }

  func submit(_ run: RunConfiguration) async throws {
    let answer = await line.ask("submit", [.init("configuration", run.json)])
    guard answer?["run"] != nil else { throw ServerSilence() }
  }

  func killClient(_ index: Int) throws {
    clients[index].kill(SIGKILL)
    try clients[index].start()
  }

  func killServer() async throws {
    line.stop()
    server.kill(SIGKILL)
    try server.start()
    line = try await AdminLine.open(folder)
  }

  func end(of run: Int) async throws {
    var answer = await line.ask("watch", [.init("run", .integer(Int64(run)))])
    while let now = answer, now["done"] != .bool(true) { answer = await line.next() }
  }

  func state(of run: Int) async throws -> String { try await field("state", of: run) }

  func field(_ name: String, of run: Int) async throws -> String {
    guard case .array(let runs)? = await line.ask("status")?["runs"],
      let found = runs.first(where: { $0["run"] == .integer(Int64(run)) }),
      case .string(let text)? = found[name]
    else { throw ServerSilence() }
    return text
  }

  /// Stops everybody with SIGTERM; the statuses of clients and server.
  func stop() -> [Int32?] {
    line.stop()
    return (clients + [server]).map { $0.kill(SIGTERM) }
  }
}
