// Apache-2.0.
import Codecs
import FederatedCore
import FineTuning
import Glibc
import RunLedger
import TestSupport
import Testing
import Transport
import WireProtocol

/// A server that is killed again and again, at moments that a seed chooses.
///
/// `SAMARA_KILLS` says how often, `SAMARA_KILL_SEED` from which seed; `scripts/kill-test` sets them.
@Suite(.timeLimit(.minutes(10))) struct KillTests {
  static let kills = environment("SAMARA_KILLS") ?? 6
  static let seed = environment("SAMARA_KILL_SEED") ?? 1

  static func environment(_ name: String) -> Int? {
    // SAFETY: getenv's text is copied at once; nothing here writes the environment.
    unsafe getenv(name).flatMap { unsafe Int(String(cString: $0)) }
  }

  @Test func `a server killed at any moment goes on to the same bits`() async throws {
    let folder = TemporaryFolder()
    let scene = try await KillScene(folder.path, schedule: "clients: 3")
    let undisturbed = try await scene.run()
    try await kill(scene) { number, kills in
      let digest = try await scene.digest(of: number)
      #expect(digest == undisturbed, "run \(number), \(kills) kills")
    }
    try scene.checkLedger(contributions: 180)
  }

  @Test(arguments: ["fedbuff", "fedasync", "fedcompass", "tiered"])
  func `without rounds a killed server loses and repeats nothing either`(
    policy: String
  ) async throws {
    let folder = TemporaryFolder()
    let scene = try await KillScene(folder.path, schedule: "policy: \"\(policy)\", clients: 3")
    try await kill(scene) { number, _ in
      let state = try await scene.state(of: number)
      #expect(state == "completed")
    }
    try scene.checkLedger(contributions: nil)
  }

  @Test func `a killed server loses no dense payload, which goes on where it was`() async throws {
    let folder = TemporaryFolder()
    // Logistic regression over many features: half a million bytes a payload.
    _ = folder.write(
      "model/config.json",
      #"{"model_type": "samara_mlp", "input_size": 13000, "hidden_sizes": [], "num_labels": 10}"#
    )
    let nothing = Array("{}".utf8)
    let labels = (0..<10).map { "\"\($0)\"" }.joined(separator: ", ")
    _ = folder.write("model/model.safetensors", bytes: [2, 0, 0, 0, 0, 0, 0, 0] + nothing)
    let scene = try await KillScene(
      folder.path,
      schedule: "clients: 3",
      rounds: 8,
      model: "\(folder.path)/model",
      task: "{ kind: \"classification\", labels: [\(labels)] }",
      algorithm: "name: \"fedadam\", steps: 1, learning_rate: 0.1, downlink: \"block8\"",
      options: ["--keep-rounds", "2"]
    )
    let undisturbed = try await scene.run()
    try await kill(scene) { number, kills in
      let digest = try await scene.digest(of: number)
      #expect(digest == undisturbed, "run \(number), \(kills) kills")
    }
    try scene.checkLedger(contributions: 24)
    #expect(scene.blobs.count < 24, "nothing was removed")
    #expect(scene.greatestBlob > Message.longestFrame, "nothing travelled in chunks")
  }

  @Test func `SIGHUP ends nothing and shows a certificate that was made anew`() async throws {
    let folder = TemporaryFolder()
    let scene = try await KillScene(folder.path, schedule: "clients: 3", rounds: 6)
    let certificate = "\(folder.path)/server/authority/server.crt"
    try LedgerFile.damage(certificate, removes: true)
    let number = try await scene.submit()
    #expect(Glibc.kill(scene.server.process, SIGHUP) == 0)
    while LedgerFile.size(certificate) == nil { await Task.yield() }
    try await scene.end(of: number)
    #expect(try await scene.state(of: number) == "completed")
    #expect(scene.server.kill(SIGTERM) == 0)
    scene.stop()
  }

  /// Kills the server again and again, through as many runs as that takes.
  private func kill(
    _ scene: KillScene,
    check: (Int64, Int) async throws -> Void
  ) async throws {
    var moments = SplitMix(state: UInt64(Self.seed))
    var kills = 0
    while kills < Self.kills {
      let number = try await scene.submit()
      while try await scene.state(of: number) == "running" {
        if kills < Self.kills {
          // The moment is the point: from before the server listens to many rounds later.
          try await Task.sleep(for: .milliseconds(Int(moments.next() % 250)))
          // A drain now and then must lose as little.
          scene.server.kill(moments.next() % 8 == 0 ? SIGTERM : SIGKILL)
          kills += 1
          try scene.server.start()
        } else {
          try await scene.end(of: number)
        }
      }
      try await check(number, kills)
    }
    #expect(scene.server.kill(SIGTERM) == 0)
    scene.stop()
  }
}

/// Any sequence that a seed repeats.
struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}

/// A real server process, and clients in this one over real connections.
final class KillScene {
  static let model = "Tests/Golden/logits/llama"
  let server: ServerProcess
  private let folder: String
  private let clients: [WireClient]
  private let configuration: RunConfiguration

  init(
    _ parent: String,
    schedule: String,
    rounds: Int = 60,
    model: String? = nil,
    task: String = "\"language-modeling\"",
    algorithm: String = """
    name: "fedkseed", seeds: 64, steps: 5, learning_rate: 0.002, clip: 50
    """,
    options: [String] = []
  ) async throws {
    folder = "\(parent)/server"
    configuration = try RunConfiguration(
      json5: Array(
        """
        {
          name: "killed", model: "\(model ?? "\(SourceTree.root)/\(Self.model)")", rounds: \(rounds), seed: 5,
          task: \(task),
          algorithm: { \(algorithm) },
          schedule: { \(schedule) },
        }
        """.utf8
      )
    )
    let log = "\(parent)/log"
    let listen = "127.0.0.1:\(Self.freePort())"
    _ = try ServerProcess.run("fedserver", ["init", folder, "--listen", listen], log: log)
    server = try ServerProcess(
      "fedserver",
      ["run", "--dir", folder, "--threads", "1"] + options,
      log: log
    )
    let loaded = try LoadedModel(ModelRequest(configuration))
    let line = try await AdminLine.open(folder)
    var clients: [WireClient] = []
    for index in 0..<3 {
      let answer = await line.ask(
        "enroll",
        [.init("name", .string("client-\(index)")), .init("lifetime", .integer(60))]
      )
      guard case .string(let token)? = answer?["token"] else { throw ServerSilence() }
      let identity = try ClientIdentity.join(token: token, folder: "\(folder)/client-\(index)")
      clients.append(
        try WireClient(
          identity,
          base: loaded.baseDigest,
          examples: 10 + index,
          blocks: model == nil ? nil : loaded.blocks,
          parts: "\(folder)/client-\(index)/parts"
        )
      )
    }
    line.stop()
    self.clients = clients
  }

  /// A run from its submission to its end, with nobody killed; its last digest.
  func run() async throws -> String {
    let number = try await submit()
    try await end(of: number)
    return try await digest(of: number)
  }

  /// Hands in the run.
  func submit() async throws -> Int64 {
    let line = try await AdminLine.open(folder)
    defer { line.stop() }
    let answer = await line.ask("submit", [.init("configuration", configuration.json)])
    guard case .integer(let run)? = answer?["run"] else { throw ServerSilence() }
    return run
  }

  /// Waits for the end of a run.
  func end(of run: Int64) async throws {
    let line = try await AdminLine.open(folder)
    defer { line.stop() }
    var answer = await line.ask("watch", [.init("run", .integer(run))])
    while let now = answer, now["done"] != .bool(true) { answer = await line.next() }
  }

  /// State of a run.
  func state(of run: Int64) async throws -> String { try await field("state", of: run) }

  /// Digest of the version a run has come to.
  func digest(of run: Int64) async throws -> String { try await field("digest", of: run) }

  /// Every contribution is there once, and every acknowledged one is there.
  ///
  /// - Parameter contributions: how many a run has, where that is certain.
  func checkLedger(contributions: Int?) throws {
    let ledger = try Ledger(path: "\(folder)/ledger.sqlite", blobs: "\(folder)/blobs")
    for run in try ledger.runs() {
      var counted: [[UInt32]] = []
      var names: [UInt32: String] = [:]
      for record in try ledger.records(of: run) {
        if case .client(_, let ordinal, let name, _) = record { names[ordinal] = name }
        if case .contribution(_, let round, let client, _, _) = record {
          counted.append([round, client])
        }
      }
      #expect(counted.count == contributions ?? counted.count)
      #expect(Set(counted).count == counted.count)
      for (ordinal, name) in names {
        let client = clients[Int(String(name.suffix(1))) ?? 0]
        var rounds = Set(client.notes.acknowledged.filter { $0[0] == run }.map { $0[1] })
        // Without rounds the run may end while a client is at its last task.
        if contributions == nil, let last = rounds.max() { rounds.remove(last) }
        for round in rounds { #expect(counted.contains([round, ordinal])) }
      }
    }
    #expect(clients.allSatisfy { $0.notes.problems.isEmpty })
  }

  /// Files beside the ledger that its rows may need.
  var blobs: [String] {
    LedgerCheckpointTests.files("\(folder)/blobs").filter { $0.utf8.count == 64 }
  }

  /// Bytes of the greatest of them.
  var greatestBlob: Int {
    blobs.compactMap { LedgerFile.size("\(folder)/blobs/\($0)") }.max() ?? 0
  }

  func stop() {
    for client in clients { client.stop() }
  }

  private func field(_ name: String, of run: Int64) async throws -> String {
    let line = try await AdminLine.open(folder)
    defer { line.stop() }
    guard case .array(let runs)? = await line.ask("status")?["runs"],
      let found = runs.first(where: { $0["run"] == .integer(run) }),
      case .string(let text)? = found[name]
    else { throw ServerSilence() }
    return text
  }

  /// A port that nobody listens at now.
  static func freePort() -> UInt16 {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    // SAFETY: a sockaddr_in seen as the sockaddr it begins with, for the length it has.
    unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = unsafe bind(socket, $0, length)
        _ = unsafe getsockname(socket, $0, &length)
      }
    }
    return UInt16(bigEndian: address.sin_port)
  }
}

/// The server did not answer as it should.
struct ServerSilence: Error {}
