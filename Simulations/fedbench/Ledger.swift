// Apache-2.0.
import CommandLineTool
import Glibc
import RunLedger

/// What a durable acknowledgement costs, against a bare write and fdatasync in the same folder.
let ledgerBenchmark = Command(
  "ledger",
  "Rows a second and time to acknowledge of the ledger, by rows a commit, against bare fdatasync.",
  options: [
    .value("dir", "DIR", "Folder on the disk to measure (.)."),
    .value("commits", "N", "Commits a measurement (50)."),
  ]
) { arguments, console in
  let count = try arguments.integer("commits", in: 5...100_000) ?? 50
  let folder = "\(arguments.value("dir") ?? ".")/ledger-bench-\(getpid())"
  guard unsafe mkdir(folder, 0o700) == 0 else {
    throw CommandFailure("cannot make \(folder)", code: .usage)
  }
  defer { removeLedgerFolder(folder) }
  let bare = try syncTimes(path: "\(folder)/bare", count: count)
  ReportRow("bare write of 256 B and fdatasync, median", bare.middle * 1e3, "ms")
    .write(to: console)
  ReportRow("bare write of 256 B and fdatasync, 99 of 100", bare.late * 1e3, "ms")
    .write(to: console)
  for rows in [1, 10, 100, 1000] {
    let ledger = try Ledger(path: "\(folder)/ledger-\(rows)")
    var round: UInt32 = 0
    let times = try durations(count: count) {
      try ledger.commit(ledgerRows(rows, round: round))
      round += 1
    }
    let name = "\(rows) contribution\(rows == 1 ? "" : "s") of 200 B a commit"
    ReportRow(
      "\(name), acknowledged",
      Double(rows) / times.middle,
      "rows/s",
      floor: ("a sync for each commit", Double(rows) / bare.middle)
    ).write(to: console)
    ReportRow("\(name), time to acknowledge, median", times.middle * 1e3, "ms").write(to: console)
    ReportRow("\(name), time to acknowledge, 99 of 100", times.late * 1e3, "ms").write(to: console)
  }
  return .ok
}

private func ledgerRows(_ count: Int, round: UInt32) -> [LedgerRecord] {
  (0..<UInt32(count)).map { client in
    .contribution(
      run: 1,
      round: round,
      client: client,
      loss: 1,
      payload: [UInt8](repeating: UInt8(truncatingIfNeeded: client), count: 200)
    )
  }
}

/// Seconds of each call: the middle one and the 99th of 100.
private func durations(
  count: Int,
  _ body: () throws -> Void
) throws -> (middle: Double, late: Double) {
  var times: [Double] = []
  for _ in 0..<count {
    let elapsed = try ContinuousClock().measure(body).components
    times.append(Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18)
  }
  times.sort()
  return (times[count / 2], times[min(count - 1, count * 99 / 100)])
}

private func syncTimes(path: String, count: Int) throws -> (middle: Double, late: Double) {
  let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
  guard descriptor >= 0 else { throw CommandFailure("cannot make \(path)", code: .usage) }
  defer { _ = close(descriptor) }
  let block = [UInt8](repeating: 0x5A, count: 256)
  return try durations(count: count) {
    // SAFETY: the array outlives the call and holds that many bytes.
    guard unsafe write(descriptor, block, block.count) == block.count, fdatasync(descriptor) == 0
    else { throw CommandFailure("\(path): cannot write") }
  }
}

private func removeLedgerFolder(_ folder: String) {
  _ = unsafe unlink("\(folder)/bare")
  for rows in [1, 10, 100, 1000] {
    for suffix in ["", "-wal", "-shm"] { _ = unsafe unlink("\(folder)/ledger-\(rows)\(suffix)") }
  }
  _ = unsafe rmdir(folder)
}
