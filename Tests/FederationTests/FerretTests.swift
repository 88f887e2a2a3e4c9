// Apache-2.0.
import Codecs
import FederatedAlgorithms
import FederatedCore
import SharedRandomness
import Testing

/// A trainer that moves by what it is told to.
private struct Displacement: LocalTrainer {
  let difference: [Float]
  let blocks: [ParameterBlock]
  var memory: [UInt8] = []
  let exampleCount = 1
  var parameterCount: Int { difference.count }

  init(_ difference: [Float], sizes: [Int]) {
    self.difference = difference
    var blocks: [ParameterBlock] = []
    for (index, size) in sizes.enumerated() {
      let start = blocks.last?.range.upperBound ?? 0
      blocks.append(
        ParameterBlock(name: "t\(index)", shape: [size], range: start..<start + size)
      )
    }
    self.blocks = blocks
  }

  mutating func load(_: [WeightUpdate]) {}
  mutating func probe(_: Direction, epsilon: Float, at _: StepAddress) -> (
    plus: Float, minus: Float
  ) {
    (0, 0)
  }
  mutating func move(along _: Direction, by _: Float) {}
  mutating func descend(_: LocalRule, rate: Float, at _: StepAddress) -> Float { 1 }
  mutating func difference(into amounts: inout [Float]) { amounts = difference }
}

@Suite struct FerretTests {
  static func settings(_ more: JSONValue.Member...) -> JSONValue {
    .object(
      [
        .init("name", .string("ferret")),
        .init("coordinates", .integer(64)),
        .init("learning_rate", .number(0.05)),
        .init("steps", .integer(5)),
      ] + more
    )
  }

  /// A difference with a few large elements, as gradients have.
  private static func difference(_ count: Int) -> [Float] {
    (0..<count).map { index in
      let wave = Float((index * 37) % 19) - 9
      return (index % 11 == 0 ? 5 : 1) * wave * 0x1p-9
    }
  }

  private static func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 } }

  /// What a version adds to weights that are zero.
  private static func rebuilt(_ session: any AlgorithmSession, _ count: Int) throws -> [Double] {
    var sums = [Double](repeating: 0, count: count)
    for case .directions(let update) in try session.weightUpdates() {
      let elements = try #require(update.elements)
      var moves = [Int32](repeating: 0, count: elements.count)
      var span = moves.mutableSpan
      update.bank.accumulate(
        update.terms.map { ($0.direction, $0.amount) },
        elements: elements,
        into: &span
      )
      let unit = Double(sign: .plus, exponent: -update.scaleExponent, significand: 1)
      for (element, move) in zip(elements, moves) { sums[element] += unit * Double(move) }
    }
    return sums
  }

  private static func send(
    _ trainer: Displacement,
    _ configuration: JSONValue,
    key: UInt64,
    client: UInt32 = 3
  ) throws -> (payload: [UInt8], rebuilt: [Double]) {
    var session = try AlgorithmCatalog.start(algorithm: configuration, key: key)
    try session.begin(trainer.blocks)
    var local: any LocalTrainer = trainer
    let task = LocalTask(round: 0, client: client, steps: 1)
    let payload = try session.train(task, on: &local).payload
    try session.fold([Contribution(task: task, weight: 1 << 16, payload: payload)])
    return (payload, try Self.rebuilt(session, trainer.parameterCount))
  }

  /// Mean squared error of the rebuilt difference and of its mean, as shares of its square.
  private static func errors(
    _ count: Int,
    _ configuration: JSONValue,
    trials: Int
  ) throws -> (each: Double, mean: Double) {
    let trainer = Displacement(Self.difference(count), sizes: [count])
    let exact = trainer.difference.map { Double($0) }
    var each = 0.0
    var sum = [Double](repeating: 0, count: count)
    for trial in 0..<trials {
      let found = try Self.send(trainer, configuration, key: UInt64(trial)).rebuilt
      each += Self.norm(zip(found, exact).map { $0 - $1 }) / Self.norm(exact)
      for index in sum.indices { sum[index] += found[index] }
    }
    let bias = zip(sum, exact).map { $0 / Double(trials) - $1 }
    return (each / Double(trials), Self.norm(bias) / Self.norm(exact))
  }

  struct Law: Sendable {
    let family: String
    let code: String
    let count: Int
    let coordinates: Int64
    let error: Double
  }

  /// E‖Δ̂ − Δ‖² = ((d + κ − 2)/K) ‖Δ‖², κ = 1 for signs; rows of a Hadamard matrix of n rows, each taken
  /// once, leave (n/K − 1)(d − 1)/(n − 1); one bit a coordinate makes n/K π/2 as large.
  static let laws = [
    Law(family: "independent", code: "fixed16", count: 300, coordinates: 50, error: 5.98),
    Law(family: "independent", code: "log8", count: 300, coordinates: 50, error: 5.98),
    Law(family: "hadamard", code: "fixed16", count: 256, coordinates: 50, error: 4.12),
    Law(family: "hadamard", code: "fixed8", count: 200, coordinates: 50, error: 3.215),
    Law(family: "hadamard", code: "fixed16", count: 256, coordinates: 256, error: 0),
    Law(family: "hadamard", code: "sign", count: 1024, coordinates: 100, error: 15.085),
  ]

  @Test(arguments: laws) func `errors follow the law and have no mean`(law: Law) throws {
    let trials = 200
    let (each, mean) = try Self.errors(
      law.count,
      Self.settings(
        .init("family", .string(law.family)),
        .init("code", .string(law.code)),
        .init("coordinates", .integer(law.coordinates))
      ),
      trials: trials
    )
    #expect(abs(each - law.error) < 0.06 * law.error + 1e-4, "\(each) by \(law)")
    #expect(mean < 1.6 * each / Double(trials) + 1e-6, "\(mean)")
  }

  @Test func `budgets follow norms and every block that moved has two`() throws {
    // Four tensors of a size; the last does not move.
    var values = [Float](repeating: 0, count: 400)
    for index in 0..<100 {
      values[index] = 0.03
      values[100 + index] = 0.01
      values[200 + index] = 0.00001
    }
    let trainer = Displacement(values, sizes: [100, 100, 100, 100])
    let settings = Self.settings(
      .init("coordinates", .integer(80)),
      .init("code", .string("fixed8"))
    )
    let payload = try Self.send(trainer, settings, key: 1).payload
    #expect(payload[3] == 0 && payload[0] > payload[1] && payload[1] > payload[2])
    // 60 and 20 but for the rounding of norms, and two.
    #expect((82...84).contains(payload.count - 4 + 2), "\(payload.count)")
  }

  @Test func `small tensors share a block and large ones are whole`() throws {
    let trainer = Displacement(
      [Float](repeating: 0.01, count: 390),
      sizes: [10, 20, 100, 100, 30, 30, 100]
    )
    // The median is 30, so that a block of several is of 27 at the most.
    let payload = try Self.send(trainer, Self.settings(), key: 1).payload
    #expect(payload.prefix { $0 > 0 }.count >= 7)
    let merged = Displacement([Float](repeating: 0.01, count: 330), sizes: [10, 20, 100, 100, 100])
    let joined = try Self.send(
      merged,
      Self.settings(.init("coordinates", .integer(4)), .init("code", .string("fixed8"))),
      key: 1
    ).payload
    // Four norms and two bytes each.
    #expect(joined.count == 12)
  }

  @Test func `own directions let the errors of clients cancel`() throws {
    func error(_ directions: String) throws -> Double {
      let trainer = Displacement(Self.difference(500), sizes: [500])
      let exact = trainer.difference.map { Double($0) }
      var total = 0.0
      for key in UInt64(0)..<30 {
        var session = try AlgorithmCatalog.start(
          algorithm: Self.settings(.init("directions", .string(directions))),
          key: key
        )
        try session.begin(trainer.blocks)
        var contributions: [Contribution] = []
        for client in UInt32(0)..<8 {
          var local: any LocalTrainer = trainer
          let task = LocalTask(round: 0, client: client, steps: 1)
          let payload = try session.train(task, on: &local).payload
          contributions.append(Contribution(task: task, weight: 8192, payload: payload))
        }
        try session.fold(contributions)
        let found = try Self.rebuilt(session, 500)
        total += Self.norm(zip(found, exact).map { $0 - $1 }) / Self.norm(exact)
      }
      return total / 30
    }
    let ratio = try error("shared") / error("own")
    #expect((6.5...9.5).contains(ratio), "\(ratio) for eight clients")
  }

  @Test func `terms and norms are bounded`() throws {
    let trainer = Displacement([Float](repeating: 3, count: 400), sizes: [400])
    // ‖Δ‖ is 60; at the bound of 1 nothing else is left of it.
    let bounded = try Self.send(
      trainer,
      Self.settings(.init("norm", .number(1)), .init("coordinates", .integer(512))),
      key: 2
    ).rebuilt
    #expect(abs(Self.norm(bounded).squareRoot() - 1) < 0.15)
    // Each of 64 terms has a norm of 0.01 at the most.
    let clipped = try Self.send(trainer, Self.settings(.init("clip", .number(0.01))), key: 2)
      .rebuilt
    #expect(Self.norm(clipped).squareRoot() < 0.64)
  }

  @Test func `a difference that went astray says nothing`() throws {
    var values = Self.difference(200)
    values[7] = .nan
    values[150] = .infinity
    let trainer = Displacement(values, sizes: [100, 100])
    let sent = try Self.send(trainer, Self.settings(), key: 2)
    #expect(sent.payload == [0, 0])
    #expect(sent.rebuilt.allSatisfy { $0 == 0 })
  }

  @Test(arguments: ["log8", "fixed16", "fixed8", "fixed4", "sign"])
  func `payloads that no client sends are refused`(code: String) throws {
    let trainer = Displacement(Self.difference(300), sizes: [100, 200])
    let configuration = Self.settings(
      .init("code", .string(code)),
      .init("coordinates", .integer(37))
    )
    var session = try AlgorithmCatalog.start(algorithm: configuration, key: 5)
    #expect(throws: AlgorithmError.self) {
      try session.check([0, 0], for: LocalTask(round: 0, client: 0, steps: 1))
    }
    try session.begin(trainer.blocks)
    var local: any LocalTrainer = trainer
    let task = LocalTask(round: 0, client: 1, steps: 4)
    let good = try session.train(task, on: &local).payload
    try session.check(good, for: task)
    try session.check([0, 0], for: task)
    for cut in 0..<good.count {
      #expect(throws: AlgorithmError.self) { try session.check(Array(good[..<cut]), for: task) }
    }
    #expect(throws: AlgorithmError.self) { try session.check(good + [0], for: task) }
    #expect(throws: AlgorithmError.self) {
      try session.check(good, for: LocalTask(round: 0, client: 1, steps: 0))
    }
    // A norm past the bound of 16, with as many bytes as it asks for.
    #expect(throws: AlgorithmError.self) { try session.check([250] + good.dropFirst(), for: task) }
    // What no coordinate rounds to.
    let never: UInt8? = ["log8": 0x80, "fixed8": 0x80, "fixed4": 0x08][code]
    if let never {
      #expect(throws: AlgorithmError.self) {
        try session.check(good.prefix(2) + [never] + good.dropFirst(3), for: task)
      }
    }
    if code == "sign" || code == "fixed4" {
      var padded = good
      padded[padded.count - 1] |= 0x80
      // 37 or 38 coordinates do not fill their bytes.
      if good.last != padded.last {
        #expect(throws: AlgorithmError.self) { try session.check(padded, for: task) }
      }
    }
    // A weight past the whole, and a version that is not yet.
    #expect(throws: AlgorithmError.self) {
      try session.fold([Contribution(task: task, weight: 1 << 17, payload: good)])
    }
    let early = LocalTask(round: 1, client: 1, steps: 4)
    #expect(throws: AlgorithmError.self) {
      try session.fold([Contribution(task: early, weight: 1 << 16, payload: good)])
    }
    #expect(try session.weightUpdates().isEmpty)
  }

  @Test func `late results lie along the directions of their own version`() throws {
    let trainer = Displacement(Self.difference(256), sizes: [256])
    let configuration = Self.settings(
      .init("coordinates", .integer(256)),
      .init("code", .string("fixed16"))
    )
    var session = try AlgorithmCatalog.start(algorithm: configuration, key: 5)
    try session.begin(trainer.blocks)
    #expect(session.acceptsStaleTasks)
    func contribution(_ round: UInt32, _ client: UInt32) throws -> Contribution {
      var local: any LocalTrainer = trainer
      let task = LocalTask(round: round, client: client, steps: 1)
      return Contribution(
        task: task,
        weight: 1 << 15,
        payload: try session.train(task, on: &local).payload
      )
    }
    let late = try contribution(0, 1)
    try session.fold([contribution(0, 0)])
    // Half a step now, and two more of which one began at the version before.
    try session.fold([late, contribution(1, 0)])
    let found = try Self.rebuilt(session, 256)
    for (value, exact) in zip(found, trainer.difference) {
      #expect(abs(value - 1.5 * Double(exact)) < 1e-4)
    }
    #expect(try session.weightUpdates().count == 3)
  }

  @Test func `a round advances by its terms where they are shorter`() throws {
    let trainer = Displacement(Self.difference(256), sizes: [256])
    var session = try AlgorithmCatalog.start(algorithm: Self.settings(), key: 5)
    try session.begin(trainer.blocks)
    var follower = session
    var contributions: [Contribution] = []
    for client in UInt32(0)..<16 {
      var local: any LocalTrainer = trainer
      let task = LocalTask(round: 0, client: client, steps: 1)
      let payload = try session.train(task, on: &local).payload
      contributions.append(Contribution(task: task, weight: 4096, payload: payload))
    }
    var one = session
    try one.fold([contributions[0]])
    #expect(one.advance() == nil)
    try session.fold(contributions)
    let bytes = try #require(session.advance())
    // 64 terms of a byte or two for the direction and three for the amount, where 16 payloads are 1,040.
    #expect(bytes.count < 340, "\(bytes.count) bytes")
    for cut in 0..<bytes.count {
      #expect(throws: AlgorithmError.self) { try follower.advance(by: Array(bytes[..<cut])) }
    }
    try follower.advance(by: bytes)
    let base = Digest.sha256(of: [1])
    #expect(follower.digest(base: base) == session.digest(base: base))
  }
}
