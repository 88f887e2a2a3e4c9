// Apache-2.0.
import Codecs
import RunLedger
import Synchronization
import Telemetry
import Testing
import Transport

@testable import Coordination

@Suite(.timeLimit(.minutes(10))) struct LedgerWriterTests {
  /// A disk that refuses so many commits, and what it has taken.
  private final class Disk: Sendable {
    struct State {
      var refusals: Int
      var commits: [[LedgerRecord]] = []
    }

    let state: Mutex<State>

    init(refusals: Int) { state = Mutex(State(refusals: refusals)) }

    func commit(_ records: [LedgerRecord]) throws {
      try state.withLock { state in
        if state.refusals > 0 {
          state.refusals -= 1
          throw LedgerError.database(attempt: "commit", code: 13, message: "disk is full")
        }
        state.commits.append(records)
      }
    }
  }

  private static func record(_ round: UInt32) -> LedgerRecord {
    .contribution(run: 1, round: round, client: 0, loss: 1, payload: [])
  }

  @Test(arguments: [0, 1, 5])
  func `what a disk refuses is tried again, in order, and told once`(refusals: Int) async throws {
    let loop = try EventLoop()
    let disk = Disk(refusals: refusals)
    let writer = LedgerWriter(
      loop: loop,
      log: .silent,
      pause: .milliseconds(1),
      commit: disk.commit
    )
    let (told, continuation) = AsyncStream<UInt32>.makeStream()
    for round: UInt32 in 0..<100 {
      writer.write([Self.record(round)]) {
        continuation.yield(round)
        if round == 99 { continuation.finish() }
      }
    }
    var order: [UInt32] = []
    for await round in told { order.append(round) }
    #expect(order == Array(0..<100))
    let commits = disk.state.withLock { $0.commits }
    #expect(commits.flatMap { $0 }.map(\.encoded) == (0..<100).map { Self.record($0).encoded })
    loop.stop()
  }

  @Test func `records that come while the disk works share the next sync`() async throws {
    let loop = try EventLoop()
    let disk = Disk(refusals: 0)
    let gate = Latch()
    let writer = LedgerWriter(loop: loop, log: .silent) { records in
      gate.wait()
      try disk.commit(records)
    }
    let (told, continuation) = AsyncStream<Void>.makeStream()
    for round: UInt32 in 0..<50 {
      writer.write([Self.record(round)]) { if round == 49 { continuation.finish() } }
    }
    gate.open()
    for await _ in told {}
    #expect(disk.state.withLock { $0.commits.count } <= 2)
    loop.stop()
  }
}
