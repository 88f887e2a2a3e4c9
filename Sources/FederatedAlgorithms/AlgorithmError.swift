// Apache-2.0.

/// Why an algorithm refused its settings, a payload or a snapshot.
public enum AlgorithmError: Error, Equatable, Sendable, CustomStringConvertible {
  /// No algorithm of that name; the names there are.
  case unknownAlgorithm(String, known: [String])
  /// A setting is missing, unknown or out of bounds: its name, and what to write instead.
  case setting(String, String)
  /// The session was not told which tensors train.
  case notBegun
  /// A payload that `train` could not have made for its task.
  case payload(client: UInt32, round: UInt32, String)
  /// Local steps that led to weights which are not numbers.
  case diverged(client: UInt32, round: UInt32, String)
  /// A snapshot that does not belong to this run, or is damaged.
  case snapshot(String)

  /// What was wrong, where, and what to do.
  public var description: String {
    switch self {
    case .unknownAlgorithm(let name, let known):
      "algorithm.name: there is no algorithm '\(name)'; write one of \(known.joined(separator: ", "))"
    case .notBegun: "the tensors of the model are not known yet; load it first"
    case .setting(let name, let advice): "algorithm.\(name): \(advice)"
    case .payload(let client, let round, let fault):
      "payload of client \(client) in round \(round): \(fault)"
    case .diverged(let client, let round, let fault):
      "client \(client) in round \(round): \(fault)"
    case .snapshot(let fault): "snapshot of a model version: \(fault); ask for it again"
    }
  }
}
