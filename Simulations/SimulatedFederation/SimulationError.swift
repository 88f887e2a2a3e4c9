// Apache-2.0.

/// Why a simulation cannot be run.
public enum SimulationError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The run file lacks what a simulation needs.
  case configuration(String)
  /// The journal of results cannot be gone on with.
  case journal(String)
  /// The run ended otherwise than by its last round.
  case failed(String)
  /// Nothing is left to happen, and the run is not over.
  case stuck(String)

  /// What was wrong, and what to do.
  public var description: String {
    switch self {
    case .configuration(let text), .journal(let text): text
    case .failed(let reason): "the run failed: \(reason)"
    case .stuck(let reason): "nothing is left to happen and the run waits: \(reason)"
    }
  }
}
