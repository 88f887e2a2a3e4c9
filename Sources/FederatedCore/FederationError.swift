// Apache-2.0.

/// What a run file or a schedule got wrong.
public enum FederationError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A key of the run file is missing, unknown or out of bounds: its path, and what to write.
  case configuration(path: String, advice: String)
  /// Example counts that cannot be weighed.
  case weights(String)
  /// Bytes that bring no session to a next version.
  case advance(String)

  /// What was wrong, where, and what to do.
  public var description: String {
    switch self {
    case .configuration(let path, let advice): "\(path): \(advice)"
    case .weights(let reason): "weights of an aggregation: \(reason)"
    case .advance(let fault): "advance of a model version: \(fault); ask for a snapshot"
    }
  }
}
