// Apache-2.0.
import Glibc

/// SIGTERM and SIGINT as something to wait for; the second one ends the process at once.
public struct StopSignals: Sendable {
  /// Blocks the signals on this thread and all that it starts.
  public init() {
    var set = Self.set
    // SAFETY: the set is a local; no old set is asked for.
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// Waits for one of them and returns which, nil after `cancel`; from then on they end the process.
  public func wait() -> Int32? {
    var set = Self.set
    var signal: Int32 = 0
    // SAFETY: both are locals.
    while unsafe sigwait(&set, &signal) != 0 {}
    unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
    return signal == SIGUSR1 ? nil : signal
  }

  /// Whether one of them came and nobody has waited for it yet.
  public var isPending: Bool {
    var set = sigset_t()
    // SAFETY: the set is a local.
    guard unsafe sigpending(&set) == 0 else { return false }
    return unsafe sigismember(&set, SIGTERM) == 1 || sigismember(&set, SIGINT) == 1
  }

  /// Ends the wait from another thread: there is nothing left to wait for.
  public func cancel() { kill(getpid(), SIGUSR1) }

  private static var set: sigset_t {
    var set = sigset_t()
    // SAFETY: the set is a local.
    unsafe sigemptyset(&set)
    for signal in [SIGTERM, SIGINT, SIGUSR1] { unsafe sigaddset(&set, signal) }
    return set
  }
}
