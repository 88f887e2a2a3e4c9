// Apache-2.0.
import Glibc

/// SIGTERM and SIGINT as something to wait for; the second one ends the process at once.
public struct StopSignals: Sendable {
  private let takesHangups: Bool

  /// Blocks the signals on this thread and all that it starts.
  ///
  /// - Parameter takesHangups: whether SIGHUP is one of them, which asks a daemon to look at its files again.
  public init(takesHangups: Bool = false) {
    self.takesHangups = takesHangups
    var set = self.set
    // SAFETY: the set is a local; no old set is asked for.
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// Waits for one of them and returns which, nil after `cancel`; from then on they end the process.
  ///
  /// - Parameter reload: called at every SIGHUP, which does not end the wait.
  public func wait(reload: () -> Void = {}) -> Int32? {
    var set = self.set
    var signal: Int32 = 0
    while true {
      // SAFETY: both are locals.
      guard unsafe sigwait(&set, &signal) == 0 else { continue }
      if signal != SIGHUP { break }
      reload()
    }
    // A request to look at files again ends nothing, least of all a stop.
    unsafe sigdelset(&set, SIGHUP)
    // SAFETY: the set is a local; no old set is asked for.
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

  private var set: sigset_t {
    var set = sigset_t()
    // SAFETY: the set is a local.
    unsafe sigemptyset(&set)
    for signal in [SIGTERM, SIGINT, SIGUSR1] { unsafe sigaddset(&set, signal) }
    if takesHangups { unsafe sigaddset(&set, SIGHUP) }
    return set
  }
}
