// Apache-2.0.
import Codecs
import FederatedCore
import Testing

@testable import FederatedAlgorithms

@Suite struct DenseAverageTests {
  /// Payloads of ways that are given, for a model of four elements.
  private static let blocks = [ParameterBlock(name: "w", shape: [4], range: 0..<4)]

  private static func session(
    _ name: String = "fedavg",
    _ more: [JSONValue.Member] = []
  ) throws -> any AlgorithmSession {
    var session = try AlgorithmCatalog.start(algorithm: AlgorithmTests.dense(name, more), key: 1)
    try session.begin(blocks)
    return session
  }

  private static func contribution(
    _ way: [Double],
    client: UInt32 = 0,
    weight: UInt32 = Contribution.aggregationWeight,
    steps: Int = 10
  ) -> Contribution {
    var amounts = way.map { Int32($0 * 0x1p28) }
    return Contribution(
      task: LocalTask(round: 0, client: client, steps: steps),
      weight: weight,
      payload: DeltaCodec.fixed(bits: 32).encode(&amounts)
    )
  }

  /// What the version adds to the base.
  private static func moved(_ session: any AlgorithmSession) throws -> [Double] {
    try session.weightUpdates().reduce([0, 0, 0, 0]) { sum, update in
      guard case .integers(let update) = update else { return sum }
      return zip(sum, update.amounts).map { $0 + Double($1) * 0x1p-24 }
    }
  }

  private func expect(_ found: [Double], _ wanted: [Double], within: Double = 0x1p-24) {
    #expect(zip(found, wanted).allSatisfy { abs($0 - $1) <= within }, "\(found), not \(wanted)")
  }

  @Test func `the mean is by weight and moves the version that is there`() throws {
    var session = try Self.session()
    #expect(try session.weightUpdates().isEmpty)
    let round = [
      Self.contribution([0.5, -1, 0, 2], client: 0, weight: 49_152),
      Self.contribution([1.5, 1, 0, -2], client: 1, weight: 16_384),
    ]
    try session.fold(round)
    expect(try Self.moved(session), [0.75, -0.5, 0, 1])
    // A late way counts from wherever the model is by now.
    try session.fold([Self.contribution([1, 1, 1, 1], client: 2, weight: 32_768)])
    expect(try Self.moved(session), [1.25, 0, 0.5, 1.5])
  }

  @Test func `momentum, Adam and Yogi are those of the papers`() throws {
    let ways: [[Double]] = [[0.5, -1, 0, 0.001], [0.5, 1, 0, -0.5], [-0.25, 0, 0.125, 0.5]]
    for name in ["fedavgm", "fedadam", "fedyogi"] {
      var session = try Self.session(name, [.init("server_rate", .number(0.3))])
      var wanted = [0.0, 0, 0, 0]
      var (m, v) = ([0.0, 0, 0, 0], [Double](repeating: 1e-6, count: 4))
      for way in ways {
        try session.fold([Self.contribution(way)])
        for i in 0..<4 {
          let g = Double(Int32(way[i] * 0x1p28)) * 0x1p-28
          if name == "fedavgm" {
            m[i] = 0.9 * m[i] + g
            wanted[i] += 0.3 * m[i]
          } else {
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] =
              name == "fedadam"
              ? 0.99 * v[i] + 0.01 * g * g
              : v[i] - 0.01 * g * g * (v[i] > g * g ? 1 : v[i] < g * g ? -1 : 0)
            wanted[i] += 0.3 * m[i] / (v[i].squareRoot() + 1e-3)
          }
        }
        expect(try Self.moved(session), wanted, within: 4 * 0x1p-24)
      }
    }
  }

  @Test func `what was checked counts only for the payload that was checked`() throws {
    let first = Self.contribution([0.5, -1, 0, 2], client: 3)
    let second = Self.contribution([1, 1, -1, 0.25], client: 3)
    for folded in [first, second] {
      var checked = try Self.session()
      try checked.check(first.payload, for: first.task)
      try checked.fold([folded])
      var unchecked = try Self.session()
      try unchecked.fold([folded])
      #expect(
        checked.digest(base: Digest.sha256(of: [])) == unchecked.digest(base: Digest.sha256(of: []))
      )
    }
    // And it is gone after a fold.
    let ways = CheckedWays()
    ways.keep([1, 2], of: [7], for: first.task)
    #expect(ways.amounts(of: [7], for: first.task) == [1, 2])
    #expect(ways.amounts(of: [8], for: first.task) == nil)
    ways.removeAll()
    #expect(ways.amounts(of: [7], for: first.task) == nil)
  }

  @Test func `unequal steps are made equal by FedNova`() throws {
    var session = try Self.session("fednova")
    // Q_eff = 0.5 · 10 + 0.5 · 40 = 25.
    try session.fold([
      Self.contribution([1, 0, 0, 0], client: 0, weight: 32_768, steps: 10),
      Self.contribution([0, 1, 0, 0], client: 1, weight: 32_768, steps: 40),
    ])
    expect(try Self.moved(session), [25 * 0.5 / 10, 25 * 0.5 / 40, 0, 0], within: 1e-5)
  }

  @Test func `a median, a trimmed mean and a bound on the norm are deaf to one who lies`() throws {
    var round = (0..<4).map { client in
      Self.contribution(
        [0.5 + 0.01 * Double(client), -0.25, 0, 0],
        client: UInt32(client),
        weight: 13_107
      )
    }
    round.append(Self.contribution([-3, 3, 3, -3], client: 4, weight: 13_108))
    var median = try Self.session("fedavg", [.init("fold", .string("median"))])
    #expect(!median.acceptsStaleTasks)
    try median.fold(round)
    expect(try Self.moved(median), [0.51, -0.25, 0, 0], within: 1e-6)
    var trimmed = try Self.session(
      "fedavg",
      [.init("fold", .string("trimmed")), .init("trim", .number(0.2))]
    )
    try trimmed.fold(round)
    expect(try Self.moved(trimmed), [0.51, -0.25, 0, 0], within: 1e-6)
    // An even number has its median between the two in the middle.
    var even = try Self.session("fedavg", [.init("fold", .string("median"))])
    try even.fold(Array(round.prefix(4)))
    expect(try Self.moved(even), [0.515, -0.25, 0, 0], within: 1e-6)
    var bounded = try Self.session("fedavg", [.init("norm_bound", .number(0.6))])
    try bounded.fold([round[4], Self.contribution([0.5, 0, 0, 0], client: 0, weight: 52_428)])
    expect(
      try Self.moved(bounded),
      [0.8 * 0.5 - 0.2 * 0.3, 0.2 * 0.3, 0.2 * 0.3, -0.2 * 0.3],
      within: 1e-4
    )
  }

  @Test(arguments: DeltaCodec.names, ["fedavg", "fedyogi"])
  func `advances bring a client to the bits of the server`(downlink: String, name: String) throws {
    let algorithm = AlgorithmTests.dense(
      name,
      [.init("downlink", .string(downlink)), .init("downlink_density", .number(0.2))]
    )
    let base = Digest.sha256(of: [1])
    var server = try AlgorithmTests.start(algorithm, key: 1)
    var client = server
    let before = try QuadraticTrainer.loss(of: server)
    for round in UInt32(0)..<20 {
      try AlgorithmTests.run(&server, rounds: round..<round + 1, steps: 10)
      let advance = try #require(server.advance())
      try client.advance(by: advance)
      #expect(client.digest(base: base) == server.digest(base: base))
      #expect(try client.weightUpdates() == server.weightUpdates())
      #expect(throws: FederationError.self) { try client.advance(by: advance.dropLast()) }
    }
    var late = try AlgorithmTests.start(algorithm, key: 1)
    try late.restore(server.snapshot())
    #expect(late.digest(base: base) == server.digest(base: base))
    #expect(try QuadraticTrainer.loss(of: server) < 0.5 * before)
  }

  @Test func `what a codec left out is sent with the next task`() throws {
    let algorithm = AlgorithmTests.dense(
      "fedavg",
      [.init("codec", .string("ternary")), .init("density", .number(0.05))]
    )
    let session = try AlgorithmTests.start(algorithm, key: 1)
    let task = LocalTask(round: 0, client: 1, steps: 5)
    var memory: [UInt8] = []
    var sent = [Int](repeating: 0, count: QuadraticTrainer.count)
    var whole: [Int32] = []
    for _ in 0..<3 {
      var trainer: any LocalTrainer = QuadraticTrainer(client: 1, memory: memory)
      let result = try session.train(task, on: &trainer)
      let decoded = try DeltaPayload(
        result.payload,
        codec: .ternary(density: 0.05),
        count: QuadraticTrainer.count
      ).decoded()
      #expect(decoded.count { $0 != 0 } == 10)
      sent = zip(sent, decoded).map { $0 + Int($1) }
      memory = result.memory
      var way: [Float] = []
      try trainer.difference(into: &way)
      whole = IntegerKernels.fixedPoint(way, exponent: 28, bound: 1 << 30) ?? []
    }
    let kept = try DeltaPayload(memory, codec: .fixed(bits: 32), count: whole.count).decoded()
    #expect(zip(sent, kept).map { $0 + Int($1) } == whole.map { 3 * Int($0) })
    // A memory of another model is nothing.
    var fresh: any LocalTrainer = QuadraticTrainer(client: 1)
    var damaged: any LocalTrainer = QuadraticTrainer(client: 1, memory: [9, 9, 9])
    #expect(try session.train(task, on: &fresh) == session.train(task, on: &damaged))
  }

  @Test func `payloads of another size, steps or weight are refused`() throws {
    var session = try Self.session()
    let good = Self.contribution([1, 2, 3, 0])
    try session.check(good.payload, for: good.task)
    let long = LocalTask(round: 0, client: 0, steps: 4097)
    #expect(throws: AlgorithmError.self) { try session.check(good.payload, for: long) }
    #expect(throws: AlgorithmError.self) { try session.check([], for: good.task) }
    #expect(throws: AlgorithmError.self) {
      try session.fold([Self.contribution([1, 1, 1, 1], weight: 65_537)])
    }
    let unbegun = try AlgorithmCatalog.start(algorithm: AlgorithmTests.dense("fedavg"), key: 1)
    #expect(throws: AlgorithmError.self) { try unbegun.check(good.payload, for: good.task) }
    #expect(throws: AlgorithmError.self) {
      try Self.session("delta-sgd", [.init("clip_norm", .number(1))])
    }
    #expect(throws: AlgorithmError.self) {
      try Self.session("fednova", [.init("fold", .string("median"))])
    }
  }

  @Test func `weights that are not finite are never sent`() throws {
    let session = try AlgorithmTests.start(
      AlgorithmTests.dense("fedavg", [.init("learning_rate", .number(100))]),
      key: 1
    )
    var trainer: any LocalTrainer = QuadraticTrainer(client: 1)
    #expect(throws: AlgorithmError.self) {
      try session.train(LocalTask(round: 0, client: 1, steps: 200), on: &trainer)
    }
  }
}
