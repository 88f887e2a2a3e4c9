// Apache-2.0.
import Codecs
import FederatedAlgorithms
import FederatedCore

/// Payloads, changes and snapshots of the methods that are not dense, the first byte choosing the method:
/// what is taken as a payload can be folded, what is taken as a version comes back the same and can be
/// gone on from.
let payloadFuzzTarget = FuzzTarget("payload") { bytes in
  guard let first = bytes.first else { return }
  let method = payloadMethods[Int(first) % payloadMethods.count]
  guard var session = method.session() else {
    preconditionFailure("settings of the target are refused")
  }
  let rest = Array(bytes.dropFirst())
  let contribution = Contribution(
    task: LocalTask(round: 0, client: 1, steps: 5),
    weight: Contribution.aggregationWeight,
    payload: rest
  )
  var folded = session
  if (try? folded.check(rest, for: contribution.task)) != nil {
    precondition((try? folded.fold([contribution])) != nil, "what was checked cannot be folded")
    var other = session
    if let advance = folded.advance() {
      precondition((try? other.advance(by: advance)) != nil, "no way to the version")
    } else {
      precondition((try? other.fold([contribution])) != nil, "folded once alone")
    }
    precondition(other.snapshot() == folded.snapshot(), "another version")
    precondition((try? folded.weightUpdates()) != nil, "a version without weights")
  }
  var moved = session
  if (try? moved.advance(by: rest)) != nil { use(moved, contribution) }
  if (try? session.restore(rest)) != nil { use(session, contribution) }
}

/// A version that came from outside: its snapshot is the same version, and nothing about it traps.
private func use(_ version: any AlgorithmSession, _ contribution: Contribution) {
  var again = version
  precondition((try? again.restore(version.snapshot())) != nil, "its snapshot is refused")
  precondition(again.snapshot() == version.snapshot(), "another version")
  _ = try? again.weightUpdates()
  _ = try? again.fold([contribution])
  _ = again.digest(base: Digest.sha256(of: []))
}

/// A method of the catalog with settings that make its bytes few.
private struct PayloadMethod: Sendable {
  let members: [JSONValue.Member]

  init(_ name: String, _ settings: KeyValuePairs<String, JSONValue> = [:]) {
    members = [.init("name", .string(name))] + settings.map { .init($0.key, $0.value) }
  }

  /// At its base, on a model of one matrix and one adapter.
  func session() -> (any AlgorithmSession)? {
    let blocks = [
      ParameterBlock(name: "head.weight", shape: [4, 6], range: 0..<24),
      ParameterBlock(name: "layer.lora_A.weight", shape: [3, 16], range: 24..<72),
      ParameterBlock(name: "layer.lora_B.weight", shape: [10, 3], range: 72..<102),
    ]
    guard var session = try? AlgorithmCatalog.start(algorithm: .object(members), key: 1),
      (try? session.begin(blocks)) != nil
    else { return nil }
    return session
  }
}

private let payloadMethods = [
  PayloadMethod("fedkseed", ["seeds": .integer(8), "family": .string("independent")]),
  PayloadMethod(
    "fedkseed",
    [
      "seeds": .integer(8), "family": .string("independent"), "probability": .string("pro"),
    ]
  ),
  PayloadMethod("onebyte"),
  PayloadMethod("shared-directions", ["seeds": .integer(64), "trim": .number(0.2)]),
  PayloadMethod("ferret", ["coordinates": .integer(16)]),
  PayloadMethod(
    "ferret",
    [
      "coordinates": .integer(16), "family": .string("independent"), "directions": .string("own"),
      "code": .string("fixed4"),
    ]
  ),
  PayloadMethod("ferret", ["coordinates": .integer(16), "code": .string("fixed16")]),
  PayloadMethod("ferret", ["coordinates": .integer(16), "code": .string("sign")]),
  PayloadMethod("fedpipe"),
  PayloadMethod("fedpipe", ["codec": .string("block4"), "minimum_rank": .integer(2)]),
]
