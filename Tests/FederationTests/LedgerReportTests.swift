// Apache-2.0.
import Codecs
import Coordination
import FederatedCore
import Glibc
import Reporting
import Synchronization
import TestSupport
import Testing

@testable import RunLedger

/// Reports from a ledger whose clock the test moves.
@Suite struct LedgerReportTests {
  @Test func `a run is told from its ledger: times, bytes, ages, scores`() throws {
    let folder = TemporaryFolder()
    let clock = Mutex<Int64>(1_000_000_000)
    let ledger = try Ledger(
      path: "\(folder.path)/ledger",
      blobs: "\(folder.path)/blobs",
      clock: { clock.withLock { $0 } }
    )
    func commit(at second: Int64, _ records: [LedgerRecord]) throws {
      clock.withLock { $0 = 1_000_000_000 + second * 1_000_000 }
      try ledger.commit(records)
    }
    let run = try VirtualFederation.run(rounds: 2)
    let great = [UInt8](repeating: 1, count: 100_000)
    try commit(at: 0, [.run(id: 1, name: run.name, configuration: run.encoded)])
    try commit(
      at: 3,
      [
        .base(run: 1, digest: .sha256(of: [1])),
        .client(run: 1, ordinal: 0, name: "a", examples: 1),
        .client(run: 1, ordinal: 1, name: "b", examples: 1),
        .task(run: 1, round: 0, client: 0, steps: 5), .task(run: 1, round: 0, client: 1, steps: 5),
        .evaluation(run: 1, round: 0, loss: 4, accuracy: nil),
      ]
    )
    try commit(at: 5, [.contribution(run: 1, round: 0, client: 0, loss: 1, payload: great)])
    try commit(
      at: 6,
      [
        .aggregation(
          run: 1,
          round: 0,
          weights: [.init(client: 0, base: 0, weight: 65536)],
          digest: .sha256(of: [2])
        ), .evaluation(run: 1, round: 1, loss: 3, accuracy: 0.5),
      ]
    )
    try commit(at: 8, [.contribution(run: 1, round: 0, client: 1, loss: 1, payload: [1, 2])])
    try commit(
      at: 9,
      [
        .aggregation(
          run: 1,
          round: 1,
          weights: [.init(client: 1, base: 0, weight: 65536)],
          digest: .sha256(of: [3])
        ), .state(run: 1, state: .completed, reason: "done"),
      ]
    )
    // The files may be gone: a report needs none.
    let name = Digest.sha256(of: great).description
    try LedgerFile.damage("\(folder.path)/blobs/\(name)", removes: true)
    let record = try LedgerReport.record(of: 1, in: ledger)
    #expect(record.name == run.name && record.clients == 2 && record.duration == 6)
    #expect(record.versions.map(\.time) == [0, 3, 6])
    #expect(record.versions.map(\.bytes) == [0, 100_000, 100_002])
    #expect(record.versions.map(\.ages) == [[], [0], [1]])
    #expect(record.versions.map(\.loss) == [4, 3, nil])
    #expect(
      record.tasks == [
        RunRecord.Task(client: 0, start: 0, end: 2, base: 0),
        RunRecord.Task(client: 1, start: 0, end: 5, base: 0),
      ]
    )
    #expect(record.facts.contains { $0 == ("run", "1, completed") })
    let page = ReportPage(title: "Run 1", [record], command: "fedserver export --report r.html")
    #expect(page.html.contains(Digest.sha256(of: [3]).description))
    #expect(page.csv.split(separator: "\n").count == 4)
    #expect(throws: RecoveryError.self) { try LedgerReport.record(of: 2, in: ledger) }
  }

  @Test func `a ledger of an older program gains times and keeps its rows`() throws {
    let folder = TemporaryFolder()
    let path = "\(folder.path)/ledger"
    do {
      let ledger = try Ledger(path: path)
      try ledger.commit(LedgerTests.records)
    }
    do {
      let database = try SQLiteConnection.open(path: path)
      try database.execute("ALTER TABLE record DROP COLUMN time")
      try database.execute("PRAGMA user_version = 1")
    }
    let ledger = try Ledger(path: path)
    let later = LedgerRecord.evaluation(run: 1, round: 9, loss: 1, accuracy: nil)
    try ledger.commit([later])
    #expect(
      LedgerTests.bytes(try ledger.records(of: 1))
        == LedgerTests.bytes(LedgerTests.records + [later])
    )
    var times: [Int64?] = []
    try ledger.forEachEntry(of: 1) { times.append($0.time) }
    #expect(times.dropLast().allSatisfy { $0 == nil } && times.last != .some(nil))
  }
}
