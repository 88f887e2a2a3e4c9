// Apache-2.0.

/// A fixed set of threads that work through numbered tasks together with the caller.
///
/// Which thread runs which task is left to chance; results must depend on the task alone. One
/// caller at a time: a second one waits. A body must not call `run` of the same team.
public final class ThreadTeam: Sendable {
  /// Threads that work, the caller among them.
  public let threadCount: Int

  private let state: TeamState

  /// A team of `threads` (at least 1), the caller of `run` counted; fewer where the system
  /// refuses a thread, which is slower and changes no result.
  public init(threads: Int) {
    precondition(threads >= 1, "a team of \(threads) threads")
    state = TeamState()
    threadCount = 1 + state.startWorkers(threads - 1)
  }

  deinit { state.stop() }

  /// Calls `body(task, thread)` once for each task in 0 ..< `tasks`, `thread` in 0 ..< threadCount
  /// (no two calls at a time with the same thread), and returns when all have returned.
  public func run(tasks: Int, _ body: (_ task: Int, _ thread: Int) -> Void) {
    guard tasks > 0 else { return }
    state.run(tasks: tasks, alone: tasks == 1 || threadCount == 1, body)
  }
}
