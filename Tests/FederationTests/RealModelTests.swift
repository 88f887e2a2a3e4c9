// Apache-2.0.
import Codecs
import Coordination
import Datasets
import Execution
import FederatedCore
import FineTuning
import Participation
import SimulatedFederation
import Telemetry
import Tensors
import TestSupport
import Testing
import Transport
import WireProtocol

/// Production server and clients over loopback TLS on a real, tiny model.
@Suite struct RealModelTests {
  /// What disturbs a federation.
  struct Disturbance {
    /// Beginning of the run's schedule.
    var policy = ""
    var algorithm = Self.algorithms[0]
    var threads = 1
    var clients = 3
    var scheme: String?
    var frozen = "stored"
    /// Bytes that clients have for training, by their number.
    var memory: [Int] = []
    /// Every client is stopped and started again after a round, one of them without what it kept.
    var restarts = false

    static let algorithms = [
      "name: \"fedkseed\", seeds: 64, steps: 4, learning_rate: 1e-4",
      "name: \"ferret\", coordinates: 500, steps: 2, learning_rate: 0.01",
      "name: \"fedavg\", steps: 3, learning_rate: 0.05, codec: \"fixed16\", error_feedback: false",
    ]

    /// Of these a client remembers what it did not send, or the server does.
    static let remembering = [
      """
      name: "fedadam", optimizer: "momentum", steps: 3, learning_rate: 0.02, server_rate: 0.01,
      codec: "block4"
      """,
      """
      name: "delta-sgd", steps: 2, codec: "ternary", downlink: "block8", proximal: 0.01
      """,
    ]
  }

  /// Digest of the last version of a run, the same at all clients.
  static func digest(rounds: Int, _ disturbance: Disturbance = Disturbance()) async throws
    -> String
  {
    let tiny = try TinyModel(clients: disturbance.clients)
    let folder = TemporaryFolder()
    let loop = try EventLoop()
    let server = try WireServer(
      folder.path,
      models: ModelHost(loop: loop, threads: disturbance.threads, log: .silent)
    )
    var identities: [ClientIdentity] = []
    for index in 0..<disturbance.clients { identities.append(try server.enrol("client-\(index)")) }
    func start(_ index: Int) throws -> ProductionClient {
      try ProductionClient(
        identities[index],
        folder: "\(folder.path)/client-\(index)",
        model: index == 0 ? nil : tiny.model,
        data: tiny.files[index],
        threads: disturbance.threads,
        memory: disturbance.memory.isEmpty ? nil : disturbance.memory[index]
      )
    }
    var clients = try (0..<disturbance.clients).map(start)
    _ = try await ServiceTests.submit(
      tiny.run(
        rounds: rounds,
        clients: disturbance.clients,
        policy: disturbance.policy,
        algorithm: disturbance.algorithm,
        scheme: disturbance.scheme,
        frozen: disturbance.frozen
      ),
      to: folder.path
    )
    for index in 0..<disturbance.clients where disturbance.restarts {
      let line = try await AdminLine.open(folder.path)
      let status = await line.ask("watch", [.init("run", .integer(1))])
      // A round passes, unless the run is over meanwhile.
      if status?["done"] != .bool(true) { _ = await line.next() }
      line.stop()
      clients[index].stop()
      if index == 1 { folder.remove("client-1/version") }
      clients[index] = try start(index)
    }
    let line = try await AdminLine.open(folder.path)
    var answer = await line.ask("watch", [.init("run", .integer(1))])
    while let now = answer, now["done"] != .bool(true) { answer = await line.next() }
    line.stop()
    let status = answer?["end"] ?? answer?["status"]
    #expect(status?["state"] == .string("completed"))
    guard case .string(let digest)? = status?["digest"] else { throw ServerSilence() }
    for client in clients {
      if !disturbance.restarts {
        let end = await client.ends.first { _ in true }
        #expect(end.map { "\($0.digest)" } == digest)
        #expect(client.lines.contains("weights and plan"))
      }
      client.stop()
    }
    server.stop()
    loop.stop()
    #expect(server.reports.count == rounds)
    return digest
  }

  @Test(arguments: Disturbance.algorithms)
  func `threads and restarts of clients change no bit`(_ algorithm: String) async throws {
    let rounds = 12
    let quiet = try await Self.digest(rounds: rounds, .init(algorithm: algorithm))
    for disturbance in [
      Disturbance(algorithm: algorithm, threads: 2),
      Disturbance(algorithm: algorithm, restarts: true),
    ] {
      #expect(try await Self.digest(rounds: rounds, disturbance) == quiet)
    }
  }

  @Test(arguments: ["fedcompass", "fedbuff", "fedasync", "tiered"])
  func `a run without rounds ends as well, through restarts`(_ policy: String) async throws {
    let disturbance = Disturbance(policy: "policy: \"\(policy)\",", restarts: true)
    _ = try await Self.digest(rounds: 30, disturbance)
  }

  @Test(arguments: Disturbance.algorithms + Disturbance.remembering)
  func `a simulation comes to the bits of the real federation`(_ algorithm: String) async throws {
    let tiny = try TinyModel(clients: 3)
    let run = try tiny.run(rounds: 5, clients: 3, algorithm: algorithm)
    let work = try SimulatedModel(run)
    let real = try await Self.digest(rounds: 5, .init(algorithm: algorithm))
    for workers in [1, 2, 4] {
      var simulation = try SimulatedFederation(run, work: work, workers: workers)
      #expect(try simulation.run().view.digest.map { "\($0)" } == real)
    }
  }

  @Test func `momentum at the server goes with FedCompass, in a simulation as in reality`()
    async throws
  {
    let algorithm = "name: \"fedavgm\", steps: 3, learning_rate: 0.05, server_beta1: 0.5"
    // All three: every client ends with the server's bits, restarted or not.
    _ = try await Self.digest(
      rounds: 12,
      .init(policy: "policy: \"fedcompass\",", algorithm: algorithm, restarts: true)
    )
    // Who is first decides between several; one client whose tasks are of one length comes to the same
    // bits by whatever clock.
    let alone = "policy: \"fedcompass\", q_min: 3, q_max: 3, lambda: 1000,"
    let real = try await Self.digest(
      rounds: 6,
      .init(policy: alone, algorithm: algorithm, clients: 1)
    )
    let tiny = try TinyModel(clients: 1)
    let run = try tiny.run(rounds: 6, clients: 1, policy: alone, algorithm: algorithm)
    let work = try SimulatedModel(run)
    var simulation = try SimulatedFederation(run, work: work, workers: 2)
    #expect(try simulation.run().view.digest.map { "\($0)" } == real)
  }

  @Test func `products of adapters come to the same bits in reality and through restarts`()
    async throws
  {
    let algorithm = "name: \"fedpipe\", steps: 4, learning_rate: 0.05"
    let scheme = "lora:rank=2,last=1"
    let real = try await Self.digest(
      rounds: 5,
      .init(algorithm: algorithm, scheme: scheme, restarts: true)
    )
    let tiny = try TinyModel(clients: 3)
    let run = try tiny.run(rounds: 5, clients: 3, algorithm: algorithm, scheme: scheme)
    var simulation = try SimulatedFederation(run, work: try SimulatedModel(run), workers: 4)
    #expect(try simulation.run().view.digest.map { "\($0)" } == real)
  }

  @Test
  func `unequal devices come to the same bits in reality, through restarts and in simulations`()
    async throws
  {
    let algorithm = "name: \"fedpipe\", steps: 4, learning_rate: 0.05"
    let scheme = "lora:rank=4,last=1"
    let tiny = try TinyModel(clients: 3)
    let run = try tiny.run(
      rounds: 3,
      clients: 3,
      algorithm: algorithm,
      scheme: scheme,
      frozen: "device"
    )
    let memory = try DeviceFitTests.budgets(run)
    let disturbance = Disturbance(
      algorithm: algorithm,
      scheme: scheme,
      frozen: "device",
      memory: memory,
      restarts: true
    )
    let real = try await Self.digest(rounds: 3, disturbance)
    let simulated = try tiny.run(
      rounds: 3,
      clients: 3,
      algorithm: algorithm,
      scheme: scheme,
      frozen: "device",
      devices: "memory: \(memory.map { "\($0)" })"
    )
    let work = try SimulatedModel(simulated)
    let fits = try (0..<3).map { try #require(try work.fit(of: $0)) }
    #expect(fits.map(\.rank) == [4, 4, 2] && fits.map(\.batchSize) == [3, 3, 3])
    #expect(fits.map(\.frozen) == [.stored, .int8, .int8])
    for workers in [1, 2, 4] {
      var simulation = try SimulatedFederation(simulated, work: work, workers: workers)
      #expect(try simulation.run().view.digest.map { "\($0)" } == real)
    }
  }

  @Test(arguments: ["fedavg", "fedpipe", "fedpipe\", codec: \"fixed16"])
  func `adapters are averaged, and a version of them is an adapter for PEFT`(
    _ method: String
  ) throws {
    let tiny = try TinyModel(clients: 3)
    let run = try tiny.run(
      rounds: 4,
      clients: 3,
      algorithm: "name: \"\(method)\", optimizer: \"adamw\", steps: 4, learning_rate: 0.01",
      scheme: "lora:rank=2,last=1"
    )
    let work = try SimulatedModel(run)
    #expect(work.model.parameterCount < 2000)
    var digests: [String] = []
    var losses: [Double] = []
    for workers in [1, 2] {
      var simulation = try SimulatedFederation(run, work: work, workers: workers)
      let view = try simulation.run().view
      digests.append("\(view.digest.map { "\($0)" } ?? "")")
      var worker = try work.makeWorker()
      losses.append(try work.evaluate(try view.updates(), on: &worker).loss)
      let folder = "\(tiny.path)/adapter-\(workers)"
      worker.whole.load(try view.updates())
      try worker.whole.export(run, to: folder)
      // The base with the adapter on it gives the losses of the version.
      let again = try LoadedModel(ModelRequest(directory: run.model, adapter: folder))
      let reader = try TrainerWorkspace(again, team: ThreadTeam(threads: 1))
      let tokens: [Int32] = [5, 20, 33, 40, 41, 7]
      let data = ClientData(
        Dataset(examples: [Example(tokens: tokens, labels: tokens)]),
        batchSize: 1
      )
      // The reader adds the adapter to the weights, which rounds once more.
      let found = try reader.evaluate(data).meanLoss
      #expect(abs(found - (try worker.whole.evaluate(data).meanLoss)) < 1e-5)
    }
    #expect(digests[0] == digests[1] && losses[0] == losses[1])
    var fresh = try work.makeWorker()
    #expect(losses[0] < (try work.evaluate([], on: &fresh).loss))
  }

  @Test func `what a client cannot do is told at the server in its words, until it can`()
    async throws
  {
    let tiny = try TinyModel(clients: 1)
    let folder = TemporaryFolder()
    let loop = try EventLoop()
    let server = try WireServer(
      folder.path,
      models: ModelHost(loop: loop, threads: 1, log: .silent)
    )
    let client = try ProductionClient(
      try server.enrol("client-0"),
      folder: "\(folder.path)/client-0",
      model: nil,
      data: "\(tiny.path)/nothing.jsonl"
    )
    let line = try await AdminLine.open(folder.path)
    _ = await line.ask("submit", [.init("configuration", try tiny.run(rounds: 1, clients: 1).json)])
    var problem: JSONValue?
    for _ in 0..<100_000 where problem == nil {
      let status = await line.ask("status")
      guard case .array(let runs)? = status?["runs"] else { break }
      problem = runs.first?["problems"]?["client-0"]
    }
    guard case .string(let text)? = problem else {
      Issue.record("no problem told")
      return
    }
    #expect(text.contains("nothing.jsonl"))
    line.stop()
    tiny.copyExamples(to: "nothing.jsonl")
    let end = await client.ends.first { _ in true }
    #expect(end?.outcome == .completed)
    client.stop()
    server.stop()
    loop.stop()
  }
}
