// Apache-2.0.
import Codecs
import FederatedAlgorithms
import FederatedCore
import SharedRandomness
import Testing

@Suite struct AlgorithmTests {
  static let dense: [JSONValue] = [
    dense("fedavg"),
    dense("fedprox", [.init("codec", .string("fixed16"))]),
    dense("delta-sgd", [.init("codec", .string("block8"))]),
    dense("fednova", [.init("codec", .string("block4"))]),
    dense(
      "fedavg",
      [.init("codec", .string("ternary")), .init("fold", .string("trimmed"))]
    ),
  ]

  static func dense(_ name: String, _ more: [JSONValue.Member] = []) -> JSONValue {
    .object([.init("name", .string(name)), .init("learning_rate", .number(0.05))] + more)
  }

  static let settings: [JSONValue] = [
    Self.fedKSeed(seeds: 64, family: "hadamard", probability: "uniform"),
    Self.fedKSeed(seeds: 64, family: "independent", probability: "uniform"),
    Self.fedKSeed(seeds: 64, family: "hadamard", probability: "pro"),
    Self.sharedDirections(trim: 0),
    Self.sharedDirections(trim: 0.34),
    .object([
      .init("name", .string("onebyte")),
      .init("learning_rate", .number(0.002)),
      .init("clip", .number(50)),
    ]),
  ]

  /// Methods by gradients, whose payloads are not a byte a step.
  static let everyMethod =
    settings + dense + [
      // 64 coordinates for 200 parameters: a rate of 1 would follow errors as much as the gradient.
      FerretTests.settings(.init("rate", .number(0.3))),
      FerretTests.settings(.init("directions", .string("own")), .init("code", .string("sign"))),
      FerretTests.settings(
        .init("rate", .number(0.3)),
        .init("family", .string("independent")),
        .init("code", .string("fixed4"))
      ),
    ]

  /// A session that knows what trains.
  static func start(_ configuration: JSONValue, key: UInt64) throws -> any AlgorithmSession {
    var session = try AlgorithmCatalog.start(algorithm: configuration, key: key)
    try session.begin(QuadraticTrainer(client: 0).blocks)
    return session
  }

  static func fedKSeed(seeds: Int64, family: String, probability: String) -> JSONValue {
    .object([
      .init("name", .string("fedkseed")),
      .init("seeds", .integer(seeds)),
      .init("family", .string(family)),
      .init("probability", .string(probability)),
      .init("learning_rate", .number(0.002)),
      .init("clip", .number(50)),
    ])
  }

  static func sharedDirections(trim: Double) -> JSONValue {
    .object([
      .init("name", .string("shared-directions")),
      .init("seeds", .integer(64)),
      .init("trim", .number(trim)),
      // All directions are measured at one place, so a step may go further.
      .init("learning_rate", .number(0.005)),
      .init("clip", .number(50)),
    ])
  }

  /// Rounds of a session over clients whose optima differ.
  static func run(
    _ session: inout any AlgorithmSession,
    rounds: Range<UInt32>,
    steps: Int = 20,
    reversed: Bool = false
  ) throws {
    for round in rounds {
      var contributions: [Contribution] = []
      for client in UInt32(0)..<3 {
        var trainer: any LocalTrainer = QuadraticTrainer(client: client)
        try trainer.load(session.weightUpdates())
        let task = LocalTask(round: round, client: client, steps: steps)
        let result = try session.train(task, on: &trainer)
        try session.check(result.payload, for: task)
        contributions.append(
          Contribution(
            task: task,
            weight: client == 0 ? 21_846 : 21_845,
            payload: result.payload
          )
        )
      }
      try session.fold(reversed ? contributions.reversed() : contributions)
    }
  }

  /// Terms of each update of a method on directions.
  private func terms(of session: any AlgorithmSession) throws -> [[DirectionUpdate.Term]] {
    try session.weightUpdates().map { update in
      guard case .directions(let update) = update else { return [] }
      return update.terms
    }
  }

  @Test(arguments: everyMethod)
  func `the loss falls`(configuration: JSONValue) throws {
    var session = try Self.start(configuration, key: 7)
    let before = try QuadraticTrainer.loss(of: session)
    try Self.run(&session, rounds: 0..<12)
    // 64 seeds span 64 of the 200 dimensions, which is what bounds the fall for FedKSeed.
    #expect(try QuadraticTrainer.loss(of: session) < 0.8 * before)
  }

  @Test(arguments: everyMethod)
  func `the order of contributions changes nothing`(configuration: JSONValue) throws {
    var forwards = try Self.start(configuration, key: 11)
    var backwards = forwards
    try Self.run(&forwards, rounds: 0..<3)
    try Self.run(&backwards, rounds: 0..<3, reversed: true)
    #expect(forwards.snapshot() == backwards.snapshot())
  }

  /// Servers that know what never travels: moments, and what the codec of versions left out.
  static let servers: [JSONValue] = ["fedavgm", "fedadam", "fedyogi", "fedavg"].flatMap { name in
    ["fixed32", "block4", "ternary"].map { codec in
      dense(name, [.init("downlink", .string(codec)), .init("server_rate", .number(0.1))])
    }
  }

  @Test(arguments: everyMethod + servers)
  func `a server that goes on from a checkpoint makes the same versions`(
    configuration: JSONValue
  ) throws {
    let base = Digest.sha256(of: [1])
    var present = try Self.start(configuration, key: 3)
    for rounds in [0..<3, 3..<5] as [Range<UInt32>] {
      var again = try Self.start(configuration, key: 3)
      try again.resume(from: present.checkpoint())
      #expect(again.digest(base: base) == present.digest(base: base))
      #expect(again.checkpoint() == present.checkpoint())
      try Self.run(&present, rounds: rounds)
      try Self.run(&again, rounds: rounds)
      #expect(again.digest(base: base) == present.digest(base: base))
      #expect(again.checkpoint() == present.checkpoint())
      #expect(again.advance() == present.advance())
    }
    let checkpoint = present.checkpoint()
    for count in [0, 1, checkpoint.count / 2, checkpoint.count - 1] {
      #expect(throws: AlgorithmError.self) {
        try present.resume(from: Array(checkpoint.prefix(count)))
      }
    }
    #expect(present.checkpoint() == checkpoint)
  }

  @Test(arguments: everyMethod)
  func `who joins late by a snapshot holds the same bits`(configuration: JSONValue) throws {
    let base = Digest.sha256(of: [1])
    var present = try Self.start(configuration, key: 3)
    var late = present
    try Self.run(&present, rounds: 0..<3)
    try late.restore(present.snapshot())
    #expect(late.digest(base: base) == present.digest(base: base))
    #expect(try late.weightUpdates() == present.weightUpdates())
    try Self.run(&present, rounds: 3..<4)
    #expect(late.digest(base: base) != present.digest(base: base))
    try Self.run(&late, rounds: 3..<4)
    #expect(late.digest(base: base) == present.digest(base: base))
  }

  @Test(arguments: everyMethod)
  func `damaged snapshots are refused and change nothing`(configuration: JSONValue) throws {
    var session = try Self.start(configuration, key: 5)
    try Self.run(&session, rounds: 0..<2)
    let good = session.snapshot()
    var victim = session
    for cut in 0..<good.count {
      #expect(throws: AlgorithmError.self) { try victim.restore(Array(good[..<cut])) }
    }
    #expect(throws: AlgorithmError.self) { try victim.restore(good + [0]) }
    #expect(victim.snapshot() == good)
  }

  @Test(arguments: settings)
  func `payloads of another length or past the clip are refused`(configuration: JSONValue) throws {
    let session = try AlgorithmCatalog.start(algorithm: configuration, key: 5)
    let task = LocalTask(round: 0, client: 1, steps: 4)
    try session.check([0, 0x80, 1, 0x81], for: task)
    for payload in [[], [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, 0x7F], [0xFF, 0, 0, 0]] as [[UInt8]] {
      #expect(throws: AlgorithmError.self) { try session.check(payload, for: task) }
    }
  }

  @Test func `unknown names and settings are refused by name`() {
    #expect(
      throws: AlgorithmError.unknownAlgorithm("fedbest", known: AlgorithmCatalog.names)
    ) {
      try AlgorithmCatalog.start(algorithm: .object([.init("name", .string("fedbest"))]), key: 1)
    }
    for (key, value) in [
      ("sedes", JSONValue.integer(64)), ("seeds", .integer(0)), ("seeds", .integer(100)),
      ("epsilon", .number(-1)), ("clip", .number(1e9)), ("family", .string("gauss")),
      ("learning_rate", .string("1e-6")), ("probability", .integer(1)),
    ] {
      #expect(throws: AlgorithmError.self, "\(key)") {
        try AlgorithmCatalog.start(
          algorithm: .object([.init("name", .string("fedkseed")), .init(key, value)]),
          key: 1
        )
      }
    }
  }

  @Test func `a trimmed mean is deaf to one who lies`() throws {
    func moved(trim: Double, liar: UInt8?) throws -> [DirectionUpdate.Term] {
      var session = try AlgorithmCatalog.start(
        algorithm: Self.sharedDirections(trim: trim),
        key: 5
      )
      var contributions: [Contribution] = []
      for client in UInt32(0)..<5 {
        var trainer: any LocalTrainer = QuadraticTrainer(client: 1)
        let task = LocalTask(round: 0, client: client, steps: 16)
        var payload = try session.train(task, on: &trainer).payload
        if client == 4, let liar { payload = payload.map { _ in liar } }
        contributions.append(Contribution(task: task, weight: 13_107, payload: payload))
      }
      try session.fold(contributions)
      return try terms(of: session)[0]
    }
    let code = try OneByteCode(50, random: 0).byte
    let honest = try moved(trim: 0.2, liar: nil)
    let lied = try moved(trim: 0.2, liar: code)
    let mean = try moved(trim: 0, liar: code)
    func distance(_ terms: [DirectionUpdate.Term]) -> Double {
      zip(terms, honest).reduce(0) { $0 + abs(Double($1.0.amount) - Double($1.1.amount)) }
    }
    #expect(distance(lied) < 0.25 * distance(mean))
  }

  @Test func `a full epoch is closed in time and late results find their own`() throws {
    // A learning rate whose amounts are at the clip almost always: 4096 steps are about 2^30 units.
    var session = try AlgorithmCatalog.start(
      algorithm: .object([
        .init("name", .string("fedkseed")), .init("seeds", .integer(64)),
        .init("learning_rate", .number(1)), .init("clip", .number(1)),
      ]),
      key: 9
    )
    #expect(session.acceptsStaleTasks)
    let byte = try OneByteCode(1, random: 0).byte
    func result(_ round: UInt32, _ client: UInt32) -> Contribution {
      Contribution(
        task: LocalTask(round: round, client: client, steps: 4096),
        weight: Contribution.aggregationWeight,
        payload: [UInt8](repeating: byte, count: 4096)
      )
    }
    try session.fold([result(0, 0)])
    #expect(try session.weightUpdates().count == 2)
    #expect(try terms(of: session)[1].isEmpty)
    let closed = try terms(of: session)[0]
    // From version 0: along the directions of the first epoch.
    var small = result(0, 1)
    small = Contribution(task: small.task, weight: 64, payload: small.payload)
    try session.fold([small])
    let after = try terms(of: session)
    #expect(after[0] != closed && after[1].isEmpty)
    // From version 1: of the second.
    try session.fold([result(1, 0)])
    #expect(try terms(of: session)[0] == after[0])
    #expect(try !terms(of: session)[1].isEmpty)
    var restored = try AlgorithmCatalog.start(
      algorithm: .object([
        .init("name", .string("fedkseed")), .init("seeds", .integer(64)),
        .init("learning_rate", .number(1)), .init("clip", .number(1)),
      ]),
      key: 9
    )
    try restored.restore(session.snapshot())
    #expect(restored.snapshot() == session.snapshot())
  }
}
