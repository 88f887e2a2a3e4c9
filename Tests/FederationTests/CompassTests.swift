// Apache-2.0.
import Codecs
import Coordination
import Glibc
import ModelFiles
import SharedRandomness
import SimulatedFederation
import TestSupport
import Testing

@Suite struct CompassTests {
  private static let folder = SourceTree.golden("compass")

  private static func json(_ name: String) throws -> JSONValue {
    try ModelFolder.json("\(folder)/\(name).json")
  }

  /// Structure, integers and words exactly, other numbers to 1e-9.
  private static func agree(_ a: JSONValue?, _ b: JSONValue?) -> Bool {
    switch (a, b) {
    case (.object(let left)?, .object?):
      guard case .object(let right)? = b, left.count == right.count else { return false }
      return left.allSatisfy { agree($0.value, b?[$0.key]) }
    case (.array(let left)?, .array(let right)?):
      return left.count == right.count && zip(left, right).allSatisfy { agree($0, $1) }
    case (.number(let left)?, .number(let right)?):
      return abs(left - right) <= 1e-9 * max(abs(left), abs(right))
    case (.number(let left)?, .integer(let right)?), (.integer(let right)?, .number(let left)?):
      return left == Double(right)
    default: return a == b
    }
  }

  @Test(arguments: ["fig1_equilibrium", "fig20_speedup", "fig21_mild_slowdown", "fig22_late"])
  func `the paper's worked examples come out as printed`(name: String) throws {
    let scenario = try ScheduleScenario(Self.json("\(name).scenario"))
    let text = ScheduleTrace.run(scenario).text
    let trace = try JSONValue.parse(
      Array(text.utf8),
      limits: JSONLimits(bytes: text.utf8.count, depth: 16)
    )
    let golden = try Self.json("\(name).trace")
    guard case .array(let events)? = trace["events"], case .array(let wanted)? = golden["events"]
    else {
      Issue.record("no events")
      return
    }
    for (index, event) in wanted.enumerated() {
      let got = index < events.count ? events[index] : .null
      #expect(Self.agree(got, event), "event \(index): \(got.serialized())")
    }
    #expect(Self.agree(trace, golden))
  }

  /// Drives the machine through a random fleet and holds it to what every schedule owes.
  private static func sweep(seed: UInt64, rules: CompassRules) {
    var luck = RandomStream(key: seed, purpose: .device)
    func uniform() -> Double { Double(luck.next32()) * 0x1p-32 }
    let count = 1 + Int(luck.uniform(below: 20))
    let least = 1 + Int(luck.uniform(below: 30))
    let most = least + Int(luck.uniform(below: 100))
    var machine = CompassMachine(
      CompassSettings(
        leastSteps: least,
        mostSteps: most,
        latestFactor: 1 + uniform(),
        clientCount: count
      ),
      rules: rules
    )
    let speeds = (0..<count).map { _ in 0.05 - 0.5 * log(1 - uniform()) }
    let isUnsteady = uniform() < 0.5
    /// (time, rank, order, what): arrivals before timers.
    var queue: [(time: Double, rank: Int, order: Int, id: Int)] = []
    var order = 0
    func add(_ time: Double, _ rank: Int, _ id: Int) {
      order += 1
      queue.append((time, rank, order, id))
    }
    for client in 0..<count { add(uniform() * 5, 0, client) }
    var handed: Set<[Int]> = []
    var arrived: Set<[Int]> = []
    var consumed: Set<[Int]> = []
    var now = 0.0
    var isGone = Set<Int>()
    while machine.version < 60, !queue.isEmpty {
      let next = queue.indices.min { a, b in
        (queue[a].time, Double(queue[a].rank), Double(queue[a].order))
          < (queue[b].time, Double(queue[b].rank), Double(queue[b].order))
      }
      guard let next else { break }
      let item = queue.remove(at: next)
      #expect(item.time >= now)
      now = item.time
      let events =
        switch item.rank {
        case 0: machine.join(item.id, now: now)
        case 1: machine.arrive(item.id, now: now)
        default: machine.timer(item.id, now: now)
        }
      if item.rank == 1 { arrived.insert([item.id, (machine.task(of: item.id)?.number ?? 0) - 1]) }
      for event in events {
        switch event {
        case .first(let client, let steps, _), .assign(let client, _, _, let steps, _, _, _):
          #expect((least...most).contains(steps))
          let number = machine.task(of: client)?.number ?? 0
          // A task is handed out once.
          #expect(handed.insert([client, number]).inserted)
          let noise = isUnsteady ? 0.5 + 2 * uniform() : 1
          if uniform() < 0.02 {
            isGone.insert(client)
          } else {
            add(now + Double(steps) * speeds[client] * noise, 1, client)
          }
          if case .assign(_, .create, let group, _, let expected, let latest, _) = event {
            #expect(expected <= latest && expected > now)
            add(latest, 2, group)
          }
        case .aggregate(_, _, let version, let updates):
          #expect(version <= machine.version && !updates.isEmpty)
          for update in updates {
            #expect(update.staleness >= 0)
            #expect(arrived.contains([update.client, update.task]))
            // Nothing is counted twice.
            #expect(consumed.insert([update.client, update.task]).inserted)
          }
        case .arrive(_, _, _, let speed, _): #expect(speed > 0)
        case .timer: break
        }
      }
    }
    // What came is in the model, waits for its group or in the general buffer; nothing is lost.
    #expect(machine.lost.isEmpty)
    let pending = arrived.subtracting(consumed)
    #expect(pending.count <= count + machine.general.count)
    if queue.isEmpty {
      // Nobody is at work any more: whoever is not gone would wait for ever.
      #expect(isGone.count == count)
    }
  }

  @Test
  func `in thousands of random fleets every result is counted once and nobody waits for ever`() {
    for seed in 0..<2000 { Self.sweep(seed: UInt64(seed), rules: .fixed) }
  }

  @Test func `a client that is given up does not hold its group`() {
    var machine = CompassMachine(
      CompassSettings(leastSteps: 10, mostSteps: 50, clientCount: 2)
    )
    _ = machine.join(0, now: 0)
    _ = machine.join(1, now: 0)
    _ = machine.arrive(0, now: 1)
    _ = machine.arrive(1, now: 1)
    #expect(machine.openGroups.count == 1)
    _ = machine.arrive(0, now: 6)
    #expect(machine.version == 2)
    let events = machine.forget(1, now: 6.5)
    #expect(machine.version == 3)
    guard case .aggregate(.all, _, 3, let updates)? = events.first else {
      Issue.record("no aggregation: \(events)")
      return
    }
    #expect(updates.map(\.client) == [0])
  }

  @Test func `late results of the package's rules are lost as published, of ours never`() {
    // Client 1 slows down: late, late again while its first late result still waits.
    func losses(_ rules: CompassRules) -> Int {
      var machine = CompassMachine(
        CompassSettings(leastSteps: 1, mostSteps: 10, latestFactor: 1.2, clientCount: 2),
        rules: rules
      )
      _ = machine.join(0, now: 0)
      _ = machine.join(1, now: 0)
      _ = machine.arrive(1, now: 1)
      var now = 1.0
      for _ in 0..<2 {
        guard let group = machine.timers.first else { return -1 }
        _ = machine.timer(group.group, now: group.at)
        now = group.at + 5
        _ = machine.arrive(1, now: now)
      }
      return machine.lost.count + machine.general.count
    }
    #expect(losses(.appfl) == 2)
    #expect(losses(.fixed) == 1)
  }
}
