// Apache-2.0.
import Glibc

/// Where the time comes from: a parameter everywhere, so that tests and simulations bring their own.
public struct TimeSource: Sendable {
  private let read: @Sendable () -> Duration

  /// A source that answers with `read`.
  public init(_ read: @escaping @Sendable () -> Duration) {
    self.read = read
  }

  /// The time now: since an arbitrary moment for `monotonic`, since 1970 for `wall`.
  public var now: Duration { read() }

  /// Never goes back; for intervals and deadlines.
  public static let monotonic = TimeSource { read(CLOCK_MONOTONIC) }
  /// UTC, may be set back; for what people read and for certificates.
  public static let wall = TimeSource { read(CLOCK_REALTIME) }

  private static func read(_ clock: clockid_t) -> Duration {
    var time = timespec()
    // SAFETY: clock_gettime writes the timespec it is given.
    unsafe clock_gettime(clock, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }
}

extension Duration {
  /// Length in seconds.
  public var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
