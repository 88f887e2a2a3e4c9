// Apache-2.0.

/// How long to wait before connecting again: a pure function, so that it can be simulated.
public struct ReconnectPolicy: Sendable, Equatable {
  /// Longest wait after the first failure.
  public var first: Duration
  /// Longest wait after many.
  public var longest: Duration
  /// Shortest wait where only a person can help: revoked, or replaced by a copy.
  public var whenRefused: Duration

  /// A policy; the waits double from `first` to `longest`.
  public init(
    first: Duration = .seconds(1),
    longest: Duration = .seconds(60),
    whenRefused: Duration = .seconds(300)
  ) {
    self.first = first
    self.longest = longest
    self.whenRefused = whenRefused
  }

  /// The wait before the next attempt.
  ///
  /// Full jitter: anything from nothing to the longest, so that clients of a server that was away do not
  /// all come at once. A time that the server gave is kept, plus up to half of it.
  ///
  /// - Parameters:
  ///   - failures: attempts that failed since the last good connection; 0 right after one.
  ///   - reason: why the last connection ended.
  ///   - random: 64 random bits.
  public func wait(failures: Int, reason: CloseReason, random: UInt64) -> Duration {
    // The upper 16 bits: a 65,536th of a wait is fine enough.
    let share = Int(random >> 48)
    func part(_ whole: Duration) -> Duration { whole * share / 65_536 }
    if case .goodbye(let goodbye) = reason {
      if let retry = goodbye.retryAfter { return retry + part(retry) / 2 }
      if goodbye.code == .refused || goodbye.code == .replaced {
        return whenRefused + part(whenRefused)
      }
    }
    var whole = first
    for _ in 0..<min(max(0, failures), 32) where whole < longest { whole = whole * 2 }
    return part(min(whole, longest))
  }
}
