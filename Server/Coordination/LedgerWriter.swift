// Apache-2.0.
public import RunLedger
import Synchronization
public import Telemetry
public import Transport

/// Makes records durable on a thread of its own, many commits in one fsync.
///
/// While the disk works on one batch the next one gathers, so the cost of a sync is shared by all
/// that came meanwhile, and nobody waits for a timer.
public final class LedgerWriter: Sendable {
  private struct Waiting {
    var commits: [(records: [LedgerRecord], then: @Sendable () -> Void)] = []
  }

  // SAFETY: touched on the loop's thread alone.
  private final class Owner: @unchecked Sendable {
    let ledger: Ledger
    init(_ ledger: consuming Ledger) { self.ledger = ledger }
  }

  private let waiting = Mutex(Waiting())
  private let commit: @Sendable ([LedgerRecord]) throws -> Void
  private let tidy: @Sendable () -> Void
  private let loop: EventLoop
  private let log: Log
  private let pause: Duration

  /// A writer.
  ///
  /// - Parameters:
  ///   - ledger: the open ledger; nobody else writes to it.
  ///   - loop: the thread that waits for the disk; it serves nothing else.
  public convenience init(_ ledger: consuming Ledger, loop: EventLoop, log: Log) {
    let owner = Owner(ledger)
    self.init(
      loop: loop,
      log: log,
      tidy: { owner.ledger.removeNeedless() },
      commit: { records in try owner.ledger.commit(records) }
    )
  }

  /// A writer to something like a ledger.
  ///
  /// - Parameters:
  ///   - pause: how long a disk that refuses is left alone before the next attempt.
  ///   - tidy: what can wait until those who waited for the records are told.
  ///   - commit: makes records durable, all or none; called on the loop's thread.
  init(
    loop: EventLoop,
    log: Log,
    pause: Duration = .seconds(1),
    tidy: @escaping @Sendable () -> Void = {},
    commit: @escaping @Sendable ([LedgerRecord]) throws -> Void
  ) {
    self.commit = commit
    self.tidy = tidy
    self.loop = loop
    self.log = log
    self.pause = pause
  }

  /// Has records made durable after all that were given before; `then` is called on the writer's
  /// thread once they are.
  public func write(_ records: [LedgerRecord], then: @escaping @Sendable () -> Void) {
    let isFirst = waiting.withLock { waiting in
      waiting.commits.append((records, then))
      return waiting.commits.count == 1
    }
    if isFirst { loop.submit { self.drain() } }
  }

  private func drain() {
    let batch = waiting.withLock { $0.commits }
    guard !batch.isEmpty else { return }
    do {
      try commit(batch.flatMap(\.records))
    } catch {
      // Nothing was acknowledged: what waits is tried again until the disk takes it.
      log.error("\(error); trying again")
      loop.schedule(after: pause) { self.drain() }
      return
    }
    let more = waiting.withLock { waiting in
      waiting.commits.removeFirst(batch.count)
      return !waiting.commits.isEmpty
    }
    for commit in batch { commit.then() }
    tidy()
    if more { loop.submit { self.drain() } }
  }
}
