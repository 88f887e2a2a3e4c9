// Apache-2.0.
import Codecs
import FederatedCore
import Testing

@testable import FederatedAlgorithms

@Suite struct FedPipeTests {
  private static func session(_ more: [JSONValue.Member] = []) throws -> any AlgorithmSession {
    let settings = [JSONValue.Member("learning_rate", .number(0.2))] + more
    var session = try AlgorithmCatalog.start(
      algorithm: .object([.init("name", .string("fedpipe"))] + settings),
      key: 5
    )
    try session.begin(AdapterTrainer(target: []).blocks)
    return session
  }

  private static func product(_ session: any AlgorithmSession) throws -> [Double] {
    AdapterTrainer.product(AdapterTrainer.weights(try session.weightUpdates()))
  }

  private static func distance(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
  }

  /// A client's matrix of rank 2: what all have in common, and a little of its own.
  private static func target(_ client: Int) -> [Double] {
    zip(outerProduct(9), outerProduct(client)).map { $0 + 0.2 * $1 }
  }

  /// A matrix of rank 1, entries within ±1.
  private static func outerProduct(_ client: Int) -> [Double] {
    (0..<AdapterTrainer.outputs * AdapterTrainer.inputs).map { index in
      let (row, column) = (index / AdapterTrainer.inputs, index % AdapterTrainer.inputs)
      return Double((row * (client + 2) + client) % 5 - 2) / 2
        * Double((column * (client + 1) + 3) % 7 - 3) / 3
    }
  }

  private static func contribution(
    _ session: any AlgorithmSession,
    client: UInt32,
    round: UInt32 = 0,
    steps: Int = 3,
    rank: Int = AdapterTrainer.rank,
    weight: UInt32
  ) throws -> Contribution {
    var trainer: any LocalTrainer = AdapterTrainer(target: target(Int(client)), rank: rank)
    try trainer.load(session.weightUpdates(for: trainer.blocks))
    let task = LocalTask(round: round, client: client, steps: steps)
    let result = try session.train(task, on: &trainer)
    try session.check(result.payload, for: task)
    return Contribution(task: task, weight: weight, payload: result.payload)
  }

  @Test func `a fresh version computes nothing and every row of it can learn`() throws {
    let weights = AdapterTrainer.weights(try Self.session().weightUpdates())
    #expect(AdapterTrainer.product(weights).allSatisfy { $0 == 0 })
    for row in 0..<AdapterTrainer.rank {
      let values = weights[row * AdapterTrainer.inputs..<(row + 1) * AdapterTrainer.inputs]
      #expect(abs(values.reduce(0) { $0 + $1 * $1 } - 1 / 3) < 1e-5)
    }
    let rows = Set((0..<AdapterTrainer.rank).map { weights[$0 * 8..<($0 + 1) * 8].map { $0 > 0 } })
    #expect(rows.count == AdapterTrainer.rank)
  }

  @Test func `the version is the mean of the clients' products, not of their factors`() throws {
    var session = try Self.session()
    let shares: [(client: UInt32, weight: UInt32)] = [(0, 49_152), (1, 16_384)]
    var wanted = [Double](repeating: 0, count: 48)
    for round in 0..<2 as Range<UInt32> {
      var contributions: [Contribution] = []
      wanted = [Double](repeating: 0, count: 48)
      for (client, weight) in shares {
        // Each client alone goes where its product went.
        var alone = session
        let one = try Self.contribution(
          session,
          client: client,
          round: round,
          steps: 3,
          weight: weight
        )
        contributions.append(one)
        try alone.fold([
          Contribution(task: one.task, weight: 65_536, payload: one.payload)
        ])
        let product = try Self.product(alone)
        #expect(Self.distance(product, try Self.product(session)) > 0.1)
        for index in wanted.indices { wanted[index] += product[index] * Double(weight) / 65_536 }
      }
      try session.fold(contributions)
      // Two moves of rank 1 or so: nothing is cut off at rank 4 in the first round.
      if round == 0 { #expect(Self.distance(try Self.product(session), wanted) < 1e-5) }
    }
  }

  @Test func `a device of a lower rank begins at the nearest product and sends fewer bytes`() throws
  {
    var session = try Self.session([.init("minimum_rank", .integer(2))])
    try session.fold([try Self.contribution(session, client: 0, weight: 65_536)])
    let whole = try Self.product(session)
    let nothing = [Double](repeating: 0, count: 48)
    for rank in 2...4 {
      let blocks = AdapterTrainer(target: [], rank: rank).blocks
      let part = AdapterTrainer.product(
        AdapterTrainer.weights(try session.weightUpdates(for: blocks))
      )
      // What the client moved by has hardly more than two ranks.
      #expect(Self.distance(part, whole) < 0.1 * Self.distance(nothing, whole))
      let one = try Self.contribution(session, client: 0, rank: rank, weight: 1)
      #expect(one.payload.first == UInt8(rank))
      #expect(try DeltaPayload.elements(Array(one.payload.dropFirst())) == rank * (6 + 8))
    }
    let blocks = AdapterTrainer(target: [], rank: 5).blocks
    #expect(throws: AlgorithmError.self) { try session.weightUpdates(for: blocks) }
  }

  @Test(arguments: [([4, 4, 4], 0.05), ([4, 2, 3], 0.1), ([2, 2, 2], 0.25)])
  func `clients come towards the mean of their matrices together, whatever their ranks`(
    _ ranks: [Int],
    _ left: Double
  ) throws {
    let settings = [JSONValue.Member("learning_rate", .number(0.02))]
    var server = try Self.session(settings)
    var follower = server
    var other = server
    let base = Digest.sha256(of: [1])
    for round in 0..<200 as Range<UInt32> {
      let contributions = try (0..<3).map { client in
        try Self.contribution(
          server,
          client: UInt32(client),
          round: round,
          steps: 4,
          rank: ranks[client],
          weight: 21_845
        )
      }
      try server.fold(contributions)
      try other.fold(contributions.reversed())
      let bytes = try #require(server.advance())
      try follower.advance(by: bytes)
      let digest = server.digest(base: base)
      #expect(follower.digest(base: base) == digest)
      #expect(other.digest(base: base) == digest)
    }
    var late = try Self.session(settings)
    try late.restore(server.snapshot())
    #expect(late.digest(base: base) == server.digest(base: base))
    // What fewer ranks leave out is a bias; all have that of local steps.
    let mean = (0..<48).map { index in (0..<3).reduce(0) { $0 + Self.target($1)[index] / 3 } }
    let first = Self.distance([Double](repeating: 0, count: 48), mean)
    let last = Self.distance(try Self.product(server), mean)
    #expect(last < left * first, "\(last) of \(first)")
  }

  @Test func `what is no adapter, no payload and no snapshot is refused`() throws {
    #expect(throws: AlgorithmError.self) {
      var session = try AlgorithmCatalog.start(
        algorithm: .object([.init("name", .string("fedpipe"))]),
        key: 1
      )
      try session.begin([ParameterBlock(name: "w", shape: [4], range: 0..<4)])
    }
    #expect(throws: AlgorithmError.self) { try Self.session([.init("codec", .string("ternary"))]) }
    var session = try Self.session()
    #expect(throws: AlgorithmError.self) { try session.restore([0]) }
    let one = try Self.contribution(session, client: 0, steps: 2, weight: 65_536)
    // Cut short, of no rank, of another rank than it says, of a higher one than there is, too long.
    for payload in [
      Array(one.payload.dropLast()), [], [0] + one.payload.dropFirst(),
      [3] + one.payload.dropFirst(), [5] + one.payload.dropFirst(), one.payload + [0],
    ] {
      #expect(throws: AlgorithmError.self) { try session.check(payload, for: one.task) }
    }
    let few = try Self.session([.init("minimum_rank", .integer(3))])
    let low = try Self.contribution(session, client: 0, rank: 2, weight: 1)
    #expect(throws: AlgorithmError.self) { try few.check(low.payload, for: low.task) }
    #expect(throws: AlgorithmError.self) { try Self.session([.init("minimum_rank", .integer(5))]) }
    var broken: any LocalTrainer = AdapterTrainer(target: [Double](repeating: .nan, count: 48))
    try broken.load(session.weightUpdates())
    #expect(throws: AlgorithmError.self) { try session.train(one.task, on: &broken) }
    #expect(throws: AlgorithmError.self) {
      try session.fold([Contribution(task: one.task, weight: 65_537, payload: one.payload)])
    }
  }
}

extension DeltaPayload {
  /// Elements that a payload says it has.
  fileprivate static func elements(_ bytes: [UInt8]) throws -> Int {
    var reader = ByteReader(bytes)
    _ = try reader.read(UInt8.self)
    return try reader.readCount(limit: 1 << 20, field: "elements")
  }
}
