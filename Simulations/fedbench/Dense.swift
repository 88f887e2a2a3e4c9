// Apache-2.0.
import Codecs
import CommandLineTool
import FederatedAlgorithms
import FederatedCore
import SharedRandomness

/// What a dense contribution costs: encoding at the client, checking and folding at the server.
let denseBenchmark = Command(
  "dense",
  "Time and bytes of a dense contribution by codec: encode, check, fold, advance; one thread.",
  options: [
    .value("parameters", "N", "Trainable elements (10000000)."),
    .value("contributions", "N", "Contributions of a fold (4)."),
  ]
) { arguments, console in
  let count = try arguments.integer("parameters", in: 1...(1 << 30)) ?? 10_000_000
  let clients = try arguments.integer("contributions", in: 1...1024) ?? 4
  var trainer: any LocalTrainer = StillTrainer(count: count)
  let task = LocalTask(round: 0, client: 0, steps: 1)
  for (codec, server) in [
    ("fixed32", "average"), ("fixed16", "average"), ("block8", "average"), ("block4", "average"),
    ("ternary", "average"), ("block8", "adam"),
  ] {
    var session = try AlgorithmCatalog.start(
      algorithm: .object([
        .init("name", .string("fedavg")), .init("codec", .string(codec)),
        .init("server", .string(server)),
      ]),
      key: 1
    )
    try session.begin(trainer.blocks)
    var payload: [UInt8] = []
    let encode = try Measurement.of(runs: 3) {
      payload = try session.train(task, on: &trainer).payload
    }
    let contributions = (0..<clients).map { client in
      Contribution(
        task: LocalTask(round: 0, client: UInt32(client), steps: 1),
        weight: Contribution.aggregationWeight / UInt32(clients),
        payload: payload
      )
    }
    let check = try Measurement.of(runs: 3) { try session.check(payload, for: task) }
    let fold = try Measurement.of(runs: 3) { try session.fold(contributions) }
    let advance = session.advance() ?? []
    var other = session
    let follow = try Measurement.of(runs: 3) { try other.advance(by: advance) }
    let name = "\(codec), \(server)"
    ReportRow("\(name): a contribution", Double(payload.count) / Double(count), "B/element")
      .write(to: console)
    ReportRow("\(name): difference, encode and residual", encode.median * 1e3, "ms")
      .write(to: console)
    ReportRow("\(name): check a contribution", check.median * 1e3, "ms").write(to: console)
    ReportRow("\(name): fold \(clients) and encode the version", fold.median * 1e3, "ms")
      .write(to: console)
    ReportRow("\(name): a version", Double(advance.count) / Double(count), "B/element")
      .write(to: console)
    ReportRow("\(name): follow to a version", follow.median * 1e3, "ms").write(to: console)
  }
  return .ok
}

/// A trainer that has already gone its way.
private struct StillTrainer: LocalTrainer {
  let parameterCount: Int
  let exampleCount = 1
  let memory: [UInt8] = []
  private let way: [Float]

  var blocks: [ParameterBlock] {
    [ParameterBlock(name: "w", shape: [parameterCount], range: 0..<parameterCount)]
  }

  /// A sum of four uniform numbers for each element, about 1e-3.
  init(count: Int) {
    parameterCount = count
    var stream = RandomStream(key: 1, purpose: .device)
    way = (0..<count).map { _ in
      let word = stream.next32()
      let sum = (0..<4).reduce(0) { $0 + Int(word >> (8 * UInt32($1)) & 255) }
      return Float(sum - 510) * 1e-5
    }
  }

  mutating func load(_: [WeightUpdate]) {}

  mutating func probe(_: Direction, epsilon: Float, at: StepAddress) -> (plus: Float, minus: Float)
  { (0, 0) }

  mutating func move(along: Direction, by step: Float) {}

  mutating func descend(_: LocalRule, rate: Float, at: StepAddress) -> Float { 1 }

  mutating func difference(into amounts: inout [Float]) { amounts = way }
}
