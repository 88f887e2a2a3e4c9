// Apache-2.0.
import Coordination
import FederatedCore
import SharedRandomness
import Testing

/// The tiered schedule over fleets that a seed draws, on a clock of the test's own.
@Suite struct TieredTests {
  /// A fleet of clients and the scheduler that it works for.
  struct Fleet {
    var scheduler: any Scheduler
    /// Seconds of a task, by client.
    let spans: [Double]
    var now = 0.0
    var version: UInt32 = 0
    /// Results on their way.
    var coming: [(time: Double, order: Int, task: TaskKey)] = []
    var open: [UInt32: TaskKey] = [:]
    var counted: [(tasks: [TaskKey], factors: [Double], at: Double)] = []
    var noise: RandomStream
    /// Share of tasks that fail.
    var failure = 0.0
    private var orders = 0

    init(_ schedule: String, spans: [Double], seed: UInt64) throws {
      let run = try VirtualFederation.run(schedule: schedule)
      scheduler = try SchedulerCatalog.start(run.schedule, steps: 5, key: seed)
      self.spans = spans
      noise = RandomStream(key: seed, purpose: .device)
    }

    mutating func start() throws {
      for client in spans.indices {
        let event = SchedulerEvent.present(client: UInt32(client), examples: UInt64(10 + client))
        try perform(scheduler.handle(event, now: .zero))
      }
      let begin = SchedulerEvent.begin(
        round: 0,
        clients: UInt32(spans.count),
        tasks: [],
        arrived: []
      )
      try perform(scheduler.handle(begin, now: .zero))
    }

    /// The next result or deadline; false where there is none.
    mutating func step() throws -> Bool {
      let next = coming.min { ($0.time, $0.order) < ($1.time, $1.order) }
      let due = scheduler.nextDeadline.map { $0 / .seconds(1) }
      if let next, next.time <= due ?? .infinity {
        now = max(now, next.time)
        coming.removeAll { $0.order == next.order }
        open[next.task.client] = nil
        let fails = Double.random(in: 0..<1, using: &noise) < failure
        let event: SchedulerEvent =
          fails ? .failed(client: next.task.client) : .arrived(next.task)
        try perform(scheduler.handle(event, now: .seconds(now)))
        return true
      }
      guard let due else { return false }
      now = max(now, due)
      try perform(scheduler.handle(.timer, now: .seconds(now)))
      return true
    }

    private mutating func perform(_ actions: [SchedulerAction]) throws {
      for action in actions {
        switch action {
        case .assign(let client, let steps):
          #expect(steps == 5)
          let task = TaskKey(client: client, base: version)
          #expect(open.updateValue(task, forKey: client) == nil, "it is at work already")
          let luck = Double.random(in: 0.9..<1.1, using: &noise)
          orders += 1
          coming.append((now + spans[Int(client)] * luck, orders, task))
        case .aggregate(let tasks, .factors(let factors)):
          try #require(tasks.count == factors.count && !tasks.isEmpty)
          counted.append((tasks, factors, now))
          version += 1
          let begin = SchedulerEvent.begin(
            round: version,
            clients: UInt32(spans.count),
            tasks: [],
            arrived: []
          )
          try perform(scheduler.handle(begin, now: .seconds(now)))
        case .aggregate: Issue.record("weighted by examples alone")
        case .note: break
        case .dismiss: Issue.record("nobody is sent away without rounds")
        }
      }
    }
  }

  @Test(arguments: 1...200 as ClosedRange<UInt64>)
  func `in random fleets every result counts once, within its weight`(seed: UInt64) throws {
    var luck = RandomStream(key: seed, purpose: .partition)
    let clients = Int.random(in: 1...30, using: &luck)
    let spans = (0..<clients).map { _ in Double.random(in: 0.5...60, using: &luck) }
    let tiers = Int.random(in: 1...6, using: &luck)
    var fleet = try Fleet(
      "policy: \"tiered\", clients: \(max(1, clients / 2)), tiers: \(tiers), deadline: \"100s\"",
      spans: spans,
      seed: seed
    )
    fleet.failure = seed % 3 == 0 ? 0.1 : 0
    try fleet.start()
    var steps = 0
    while fleet.version < 40, steps < 5000 {
      steps += 1
      try #require(try fleet.step(), "nothing is waited for")
    }
    #expect(fleet.version == 40, "the run stands still")
    let all = fleet.counted.flatMap(\.tasks)
    #expect(Set(all).count == all.count, "a result counts twice")
    for (version, made) in fleet.counted.enumerated() {
      #expect(made.tasks.allSatisfy { $0.base <= version })
      #expect(made.factors.allSatisfy { $0 > 0 })
      #expect(made.factors.reduce(0, +) <= 0.9 + 1e-9)
    }
  }

  @Test func `fast tiers make more versions, slow ones weigh more`() throws {
    // Three clients of a second, three of ten.
    var fleet = try Fleet(
      "policy: \"tiered\", clients: 6, tiers: 2, staleness_exponent: 0, lambda: 1.2",
      spans: [1, 1, 1, 10, 10, 10],
      seed: 1
    )
    try fleet.start()
    while fleet.now < 200 { _ = try fleet.step() }
    func versions(of clients: Range<UInt32>) -> [Double] {
      fleet.counted.dropFirst().filter { clients.contains($0.tasks[0].client) }
        .map { $0.factors.reduce(0, +) }
    }
    let (fast, slow) = (versions(of: 0..<3), versions(of: 3..<6))
    #expect(fast.count > 6 * slow.count && slow.count > 10)
    // A tier waits for its own members alone.
    for made in fleet.counted.dropFirst() {
      #expect(Set(made.tasks.map { $0.client < 3 }).count == 1 && made.tasks.count == 3)
    }
    let (light, heavy) = (try #require(fast.last), try #require(slow.last))
    #expect(heavy > 5 * light)
    // All in all both move the model alike.
    let ratio = fast.reduce(0, +) / slow.reduce(0, +)
    #expect(ratio > 0.5 && ratio < 2)
  }

  @Test func `a client that changes its speed changes its tier`() throws {
    var scheduler = try Fleet(
      "policy: \"tiered\", clients: 4, tiers: 2",
      spans: [1, 1, 9, 9],
      seed: 2
    )
    try scheduler.start()
    while scheduler.now < 60 { _ = try scheduler.step() }
    let before = scheduler.counted.last { $0.tasks.contains { $0.client == 0 } }
    #expect(before.map { Set($0.tasks.map(\.client)) } == [0, 1])
    var slower = try Fleet(
      "policy: \"tiered\", clients: 4, tiers: 2",
      spans: [30, 1, 1, 9],
      seed: 2
    )
    slower.scheduler = scheduler.scheduler
    slower.now = scheduler.now
    slower.version = scheduler.version
    slower.coming = scheduler.coming
    slower.open = scheduler.open
    while slower.now < 400 { _ = try slower.step() }
    let after = slower.counted.last { $0.tasks.contains { $0.client == 0 } }
    #expect(after.map { Set($0.tasks.map(\.client)) } == [0, 3])
  }
}
