// Apache-2.0.
import Codecs
import FederatedAlgorithms
import FederatedCore

/// Dense payloads, changes and snapshots, the first byte choosing the codec: what is taken as a payload can
/// be folded, what is taken as a version comes back the same.
let deltaFuzzTarget = FuzzTarget("delta") { bytes in
  guard let first = bytes.first else { return }
  let codecs = ["fixed32", "fixed16", "block8", "block4", "ternary"]
  let codec = JSONValue.string(codecs[Int(first) % codecs.count])
  let algorithm = JSONValue.object([
    .init("name", .string("fedavg")), .init("codec", codec), .init("downlink", codec),
  ])
  guard var session = try? AlgorithmCatalog.start(algorithm: algorithm, key: 1),
    (try? session.begin([ParameterBlock(name: "w", shape: [300], range: 0..<300)])) != nil
  else { preconditionFailure("settings of the target are refused") }
  let rest = Array(bytes.dropFirst())
  let task = LocalTask(round: 0, client: 1, steps: 5)
  var folded = session
  if (try? folded.check(rest, for: task)) != nil {
    let contribution = Contribution(task: task, weight: 1 << 16, payload: rest)
    precondition((try? folded.fold([contribution])) != nil, "what was checked cannot be folded")
    var other = session
    precondition((try? other.advance(by: folded.advance() ?? [])) != nil, "no way to the version")
    precondition(other.snapshot() == folded.snapshot(), "another version")
  }
  _ = try? session.advance(by: rest)
  if (try? session.restore(rest)) != nil {
    var again = session
    precondition((try? again.restore(session.snapshot())) != nil, "its snapshot is refused")
    precondition(again.snapshot() == session.snapshot(), "another version")
  }
}
