// Apache-2.0.
import Codecs
import Coordination
import FederatedCore
import SharedRandomness
import SimulatedFederation
import Telemetry
import Testing

/// The quadratic trainer as the work of a simulation.
private struct QuadraticWork: SimulatedWork {
  typealias Worker = Int

  let base = VirtualFederation.base
  let blocks = QuadraticTrainer.blocks
  let clientCount: Int

  func exampleCount(of client: Int) -> Int { 10 + client }

  func makeWorker() -> Int { 0 }

  func train(
    client: Int,
    _ task: LocalTask,
    from session: any AlgorithmSession,
    memory: [UInt8],
    on worker: inout Int
  ) throws -> LocalResult {
    var trainer: any LocalTrainer = QuadraticTrainer(client: UInt32(client), memory: memory)
    try trainer.load(session.weightUpdates())
    return try session.train(task, on: &trainer)
  }

  func evaluate(_ updates: [WeightUpdate], on worker: inout Int) throws -> VersionScore {
    var trainer: any LocalTrainer = QuadraticTrainer(client: 1)
    try trainer.load(updates)
    let probe = try trainer.probe(
      Direction.first,
      epsilon: 0,
      at: StepAddress(round: 0, client: 0, step: 0)
    )
    return VersionScore(loss: Double(probe.plus), accuracy: nil)
  }
}

@Suite struct SimulatedFederationTests {
  private struct Trace: Equatable {
    var digest: Digest?
    var lines: [String] = []
    var events: [String] = []
    var tasks = 0
    var duration: Duration = .zero
  }

  private static func simulate(
    workers: Int,
    seed: Int = 5,
    clients: Int = 12,
    schedule: String = "clients: 4",
    devices: String = "",
    seconds: Double = 0,
    isEnough: ((RoundReport) -> Bool)? = nil,
    algorithm: String = """
    name: "fedkseed", seeds: 64, steps: 5, learning_rate: 0.002, clip: 50,
    """
  ) throws -> Trace {
    let run = try RunConfiguration(
      json5: Array(
        """
        {
          name: "test", model: "none", rounds: 6, seed: \(seed),
          algorithm: { \(algorithm) },
          schedule: { \(schedule) },
          evaluation: { data: "none", every: 2 },
          simulation: { clients: \(clients), data: "none", partition: { kind: "iid" },
            devices: { \(devices) }, seconds: \(seconds) },
        }
        """.utf8
      )
    )
    var (lines, events): ([String], [String]) = ([], [])
    var simulation = try SimulatedFederation(
      run,
      work: QuadraticWork(clientCount: clients),
      workers: workers,
      hooks: SimulationHooks(
        onReport: { report, traffic in lines.append(report.line(traffic)) },
        onEvent: { events.append($0) }
      )
    )
    let outcome = try simulation.run(until: isEnough)
    #expect(outcome.isComplete == (lines.count == 6))
    return Trace(
      digest: outcome.view.digest,
      lines: lines,
      events: events,
      tasks: outcome.tasks,
      duration: outcome.duration
    )
  }

  @Test func `workers change nothing, whoever is slow or lost`() throws {
    for devices in [
      "", "speeds: \"loguniform\", spread: 20", "speeds: \"normal\", noise: 0.05, dropout: 0.3",
      "speeds: \"exponential\", latency: 0.05, bandwidth: 1000",
      "speeds: \"lognormal\", online: 20, offline: 5",
    ] {
      let schedule = "clients: 4, over_selection: 1.5, minimum: 2, deadline: \"10s\""
      let one = try Self.simulate(workers: 1, schedule: schedule, devices: devices)
      #expect(one.lines.count == 6)
      for workers in [2, 4] {
        let many = try Self.simulate(workers: workers, schedule: schedule, devices: devices)
        #expect(many == one)
      }
    }
  }

  @Test(
    arguments: ["fedcompass", "fedbuff", "fedasync", "tiered"],
    [
      "name: \"fedkseed\", seeds: 64, steps: 5, learning_rate: 0.002, clip: 50,",
      "name: \"fedavg\", steps: 5, learning_rate: 0.05, codec: \"block4\",",
      "name: \"fedavgm\", steps: 5, learning_rate: 0.02, server_beta1: 0.5,",
    ]
  )
  func `schedules without rounds come to the same end whatever the workers`(
    policy: String,
    algorithm: String
  ) throws {
    let schedule = "policy: \"\(policy)\", clients: 8, q_min: 3, q_max: 15"
    let devices = "step_seconds: 1, speeds: \"loguniform\", spread: 10, dropout: 0.05"
    func simulate(workers: Int, schedule: String) throws -> Trace {
      try Self.simulate(
        workers: workers,
        schedule: schedule,
        devices: devices,
        algorithm: algorithm
      )
    }
    let one = try simulate(workers: 1, schedule: schedule)
    #expect(one.lines.count == 6)
    for workers in [2, 4] {
      #expect(try simulate(workers: workers, schedule: schedule) == one)
    }
    // Nobody waits for the slowest client of all.
    let rounds = try simulate(workers: 2, schedule: "clients: 12")
    #expect(one.duration < rounds.duration)
  }

  @Test func `late results need an algorithm that can take them in`() {
    #expect(throws: SimulationError.self) {
      try Self.simulate(
        workers: 1,
        schedule: "policy: \"fedcompass\", clients: 4",
        algorithm: "name: \"onebyte\", steps: 5"
      )
    }
  }

  @Test(arguments: ["name: \"fednova\"", "name: \"fedavgm\", normalize: true"])
  func `steps are made equal by the algorithm or by the schedule, not by both`(
    algorithm: String
  ) throws {
    let schedule = "policy: \"fedcompass\", clients: 4, q_min: 2, q_max: 8"
    func simulate(_ normalize: Bool, _ algorithm: String) throws -> Trace {
      try Self.simulate(
        workers: 1,
        schedule: "\(schedule), normalize: \(normalize)",
        algorithm: "\(algorithm), steps: 5, learning_rate: 0.05"
      )
    }
    do {
      _ = try simulate(true, algorithm)
      Issue.record("nobody minds")
    } catch {
      #expect("\(error)".contains("schedule.normalize"))
    }
    #expect(try simulate(false, algorithm).lines.count == 6)
    #expect(try simulate(true, "name: \"fedavgm\"").lines.count == 6)
  }

  @Test func `more clients than connect at once change nothing for the few that are asked`() throws
  {
    let schedule = "clients: 5, start_clients: 5000"
    let devices = "speeds: \"lognormal\", latency: 0.05, bandwidth: 1000"
    let one = try Self.simulate(workers: 1, clients: 5000, schedule: schedule, devices: devices)
    #expect(one.lines.count == 6)
    #expect(one.tasks >= 30)
    #expect(one.lines.allSatisfy { $0.contains("sampled 5 of 5000") })
    #expect(
      try Self.simulate(workers: 4, clients: 5000, schedule: schedule, devices: devices) == one
    )
  }

  @Test func `another seed is another run`() throws {
    #expect(try Self.simulate(workers: 2).digest != Self.simulate(workers: 2, seed: 6).digest)
  }

  @Test func `a round takes as long as its slowest client`() throws {
    let even = try Self.simulate(workers: 2, devices: "step_seconds: 2")
    // Six rounds of five steps.
    #expect(even.duration == .seconds(60))
    let uneven = try Self.simulate(
      workers: 2,
      devices: "step_seconds: 2, speeds: \"loguniform\", spread: 9"
    )
    #expect(uneven.duration > .seconds(60))
    #expect(uneven.duration < .seconds(180))
  }

  @Test func `a simulation ends when its seconds are over, or when a version is good enough`()
    throws
  {
    let whole = try Self.simulate(workers: 2, devices: "step_seconds: 2")
    let cut = try Self.simulate(workers: 2, devices: "step_seconds: 2", seconds: 35)
    // Clients are sent the run file, so what is compared to the byte has files of one length.
    let ample = try Self.simulate(workers: 2, devices: "step_seconds: 2", seconds: 99)
    #expect(ample.lines.count == 6 && ample.digest == whole.digest)
    #expect(ample.duration == .seconds(60))
    // Rounds take ten seconds: three are done, and the clock stands where it was stopped.
    #expect(cut.lines == Array(ample.lines.prefix(3)))
    #expect(cut.duration == .seconds(35))
    let enough = try Self.simulate(workers: 2, devices: "step_seconds: 2") { $0.round == 4 }
    #expect(enough.lines == Array(whole.lines.prefix(4)))
    #expect(enough.duration == .seconds(40))
  }

  @Test func `rounds end by the deadline where clients are lost`() throws {
    let trace = try Self.simulate(
      workers: 2,
      schedule: "clients: 4, minimum: 1, deadline: \"5s\"",
      devices: "step_seconds: 0.1, dropout: 0.5"
    )
    #expect(trace.lines.count == 6)
    // Six deadlines at the most.
    #expect(trace.duration <= .seconds(30))
    let whole = trace.lines.count { $0.contains("results 4") }
    #expect(whole < 6)
  }

  @Test func `a run file without devices is refused`() throws {
    let run = try RunConfiguration(
      json5: Array(
        """
        { model: "none", rounds: 1, algorithm: {name: "fedkseed"}, schedule: { clients: 1 } }
        """.utf8
      )
    )
    #expect(throws: SimulationError.self) {
      _ = try SimulatedFederation(run, work: QuadraticWork(clientCount: 1))
    }
  }
}
