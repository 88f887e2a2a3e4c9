// Apache-2.0.
import Codecs
import Coordination
import Datasets
import Execution
import FederatedCore
import FineTuning
import Reporting
import SimulatedFederation
import Tensors
import Testing
import WireProtocol

@testable import FederatedAlgorithms

@Suite struct DeviceFitTests {
  private static let algorithm = "name: \"fedpipe\", steps: 4, learning_rate: 0.05"
  private static let scheme = "lora:rank=4,last=1"

  /// Room for everything; for everything on integers; for two ranks on integers.
  static func budgets(_ run: RunConfiguration) throws -> [Int] {
    var planner = try planner(run)
    return [
      try planner.bytes(of: planner.whole),
      try planner.bytes(of: DeviceFit(rank: 4, frozen: .int8, batchSize: 3)),
      try planner.bytes(of: DeviceFit(rank: 3, frozen: .int8, batchSize: 3)) - 1,
    ]
  }

  private static func planner(_ run: RunConfiguration) throws -> DevicePlanner {
    let session = try AlgorithmCatalog.start(algorithm: run.algorithm.json, key: run.runKey)
    return try DevicePlanner(
      try LoadedModel(ModelRequest(run)),
      run,
      needs: try #require(session.deviceNeeds),
      // What the examples of the tiny model are padded to.
      positions: 32,
      threads: 1
    )
  }

  private static func run(_ tiny: borrowing TinyModel, _ more: String = "") throws
    -> RunConfiguration
  {
    try tiny.run(
      rounds: 2,
      clients: 3,
      algorithm: algorithm + more,
      scheme: scheme,
      frozen: "device"
    )
  }

  @Test func `frozen matrices grow narrow first, then ranks fall, then batches shrink`() throws {
    let tiny = try TinyModel(clients: 1)
    let run = try Self.run(tiny, ", minimum_rank: 2")
    var planner = try Self.planner(run)
    var last = planner.whole
    #expect(last == DeviceFit(rank: 4, frozen: .stored, batchSize: 3))
    var seen = [last]
    // Always a byte less than what fitted before.
    while let next = try? planner.fit(memory: try planner.bytes(of: last) - 1) {
      #expect(try planner.bytes(of: next) < planner.bytes(of: last))
      last = next
      seen.append(next)
    }
    let all = [(4, 3), (3, 3), (2, 3), (4, 1), (3, 1), (2, 1)]
    // Each is the first of the order that fits; some are passed over, where another is smaller still.
    let order =
      [
        DeviceFit(rank: 4, frozen: .stored, batchSize: 3),
        DeviceFit(rank: 4, frozen: .bf16, batchSize: 3),
      ] + all.map { DeviceFit(rank: $0.0, frozen: .int8, batchSize: $0.1) }
    var place = 0
    for fit in seen {
      while place < order.count, order[place] != fit { place += 1 }
    }
    #expect(place < order.count, "\(seen)")
    #expect(last == DeviceFit(rank: 2, frozen: .int8, batchSize: 1))
    #expect(throws: FineTuningError.self) { try planner.fit(memory: 1000) }
  }

  @Test(arguments: [
    DeviceFit(rank: 4, frozen: .stored, batchSize: 3),
    DeviceFit(rank: 2, frozen: .int8, batchSize: 2),
  ])
  func `what was planned is what training takes`(_ fit: DeviceFit) throws {
    let tiny = try TinyModel(clients: 1)
    let run = try tiny.run(
      rounds: 1,
      clients: 1,
      algorithm: Self.algorithm + ", optimizer: \"adamw\"",
      scheme: Self.scheme,
      frozen: "device"
    )
    var planner = try Self.planner(run)
    let planned = try planner.bytes(of: fit)
    let whole = try LoadedModel(ModelRequest(run))
    var session = try AlgorithmCatalog.start(algorithm: run.algorithm.json, key: run.runKey)
    try session.begin(whole.blocks)
    let model = try LoadedModel(ModelRequest(run, fit: fit))
    let workspace = try TrainerWorkspace(model, team: ThreadTeam(threads: 1), perturbs: false)
    let reader = try DatasetReader(run, tokenizer: try model.dataTokenizer())
    let data = ClientData(try reader.read(path: tiny.files[0]), batchSize: fit.batchSize)
    var trainer: any LocalTrainer = ClientTrainer(workspace, data: data, key: 1)
    try trainer.load(session.weightUpdates(for: trainer.blocks))
    _ = try session.train(LocalTask(round: 0, client: 0, steps: 3), on: &trainer)
    // The mapped file and the integers of versions lie outside of the workspace.
    let mapped = model.table.frozenBytes(held: fit.frozen) - model.table.frozenBytes
    let taken = workspace.byteCount + mapped + 8 * whole.parameterCount
    #expect(taken <= planned && taken > planned * 3 / 4, "\(taken) of \(planned)")
  }

  @Test func `a run that says how matrices are held says so for all devices`() throws {
    let tiny = try TinyModel(clients: 1)
    let run = try tiny.run(
      rounds: 1,
      clients: 1,
      algorithm: Self.algorithm,
      scheme: Self.scheme,
      frozen: "bf16"
    )
    var planner = try Self.planner(run)
    let whole = try planner.bytes(of: planner.whole)
    #expect(planner.whole.frozen == .bf16)
    #expect(try planner.fit(memory: whole - 1).frozen == .bf16)
  }

  @Test func `the base has one name whatever devices hold, and algorithms of equal devices refuse`()
    throws
  {
    let tiny = try TinyModel(clients: 1)
    let device = try LoadedModel(ModelRequest(Self.run(tiny)))
    let stored = try tiny.run(
      rounds: 2,
      clients: 3,
      algorithm: Self.algorithm,
      scheme: Self.scheme
    )
    #expect(try LoadedModel(ModelRequest(stored)).baseDigest == device.baseDigest)
    let run = try tiny.run(rounds: 1, clients: 1, frozen: "device")
    #expect(throws: (any Error).self) {
      var simulation = try SimulatedFederation(run, work: try SimulatedModel(run), workers: 1)
      _ = try simulation.run()
    }
  }

  @Test func `a device that has room for nothing stays away, the others go on`() throws {
    let tiny = try TinyModel(clients: 3)
    let run = try tiny.run(
      rounds: 2,
      clients: 3,
      policy: "minimum: 1, start_clients: 2,",
      algorithm: Self.algorithm,
      scheme: Self.scheme,
      frozen: "device",
      devices: "memory: [\"1GiB\", \"1KiB\", \"1GiB\"]"
    )
    var simulation = try SimulatedFederation(run, work: try SimulatedModel(run), workers: 2)
    let outcome = try simulation.run()
    #expect(outcome.view.state == "completed")
    #expect(Set(outcome.record.tasks.map(\.client)) == [0, 2])
  }

  @Test func `slow devices get batches with which they are done when the fastest is`() throws {
    let tiny = try TinyModel(clients: 3)
    let run = try tiny.run(
      rounds: 3,
      clients: 3,
      algorithm: Self.algorithm,
      scheme: Self.scheme,
      devices: "step_seconds: 1, speeds: \"loguniform\", spread: 6, step_overhead: 0.1"
    )
    var batches: [Int: Int] = [:]
    let work = try SimulatedModel(run)
    var simulation = try SimulatedFederation(run, work: work, workers: 1)
    let outcome = try simulation.run()
    for task in outcome.record.tasks { batches[task.client] = Int((task.end - task.start) * 1000) }
    // Nobody takes longer than the fastest by more than what a batch of one cannot save.
    let devices = DeviceModel(try #require(run.simulation).devices, key: run.runKey)
    let fastest = try #require((0..<3).map { devices.stepTime(of: $0) }.min())
    for client in 0..<3 {
      let least = devices.stepTime(of: client, examples: 1, ofBatch: 3)
      let taken = Double(try #require(batches[client])) / 4000
      #expect(taken <= max(fastest, least) * 1.01 + 0.001)
    }
  }
}
