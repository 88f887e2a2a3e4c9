// Apache-2.0.
public import Coordination
public import Telemetry

/// Who is told what while a simulation runs.
public struct SimulationHooks {
  /// How far a simulation has got.
  public struct Progress: Sendable {
    /// Virtual time.
    public let now: Duration
    /// Versions made, of `rounds`.
    public let round: Int
    /// Versions of the run.
    public let rounds: Int
    /// Tasks that clients have done, those under way that are computed already included.
    public let tasks: Int
  }

  /// Where the machines' words go.
  public var log: Log
  /// A version, with the mean bytes of who contributed to it.
  public var onReport: (RoundReport, RoundReport.Traffic?) -> Void
  /// An event, as a line of JSON.
  public var onEvent: ((String) -> Void)?
  /// Progress; often.
  public var onProgress: (Progress) -> Void

  /// Hooks.
  public init(
    log: Log = .silent,
    onReport: @escaping (RoundReport, RoundReport.Traffic?) -> Void = { _, _ in },
    onEvent: ((String) -> Void)? = nil,
    onProgress: @escaping (Progress) -> Void = { _ in }
  ) {
    self.log = log
    self.onReport = onReport
    self.onEvent = onEvent
    self.onProgress = onProgress
  }

  /// Tells an event, which is only made where somebody wants it.
  func tell(_ line: @autoclosure () -> EventLine, at now: Duration) {
    onEvent?(line().text(at: now))
  }
}
