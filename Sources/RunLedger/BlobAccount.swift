// Apache-2.0.
import Codecs

/// Which files beside the ledger its rows still need.
///
/// A checkpoint of a run makes needless what the rows of the run before it refer to, but for the payloads
/// of the tasks it calls pending. A file that several rows refer to goes with the last of them.
struct BlobAccount {
  private struct Use {
    /// Nil of a checkpoint.
    let task: LedgerRecord.TaskName?
    let digest: Digest
  }

  /// Files that rows of a run need, in the order of the rows.
  private var uses: [UInt32: [Use]] = [:]
  private var counts: [Digest: Int] = [:]
  /// Files that were needed once.
  private var needless: Set<Digest> = []

  /// Files that rows need.
  var needed: Set<Digest> { Set(counts.keys) }

  /// Takes in the next row: a record, and its file where it has one.
  mutating func add(_ record: LedgerRecord, _ digest: Digest?) {
    let run = record.key.run
    var task: LedgerRecord.TaskName?
    switch record {
    case .checkpoint(_, _, let pending, _): release(run, except: Set(pending))
    case .contribution(_, let round, let client, _, _):
      task = LedgerRecord.TaskName(client: client, base: round)
    default: return
    }
    guard let digest else { return }
    uses[run, default: []].append(Use(task: task, digest: digest))
    counts[digest, default: 0] += 1
    needless.remove(digest)
  }

  /// Hands out the files that no row needs any more, once.
  mutating func takeNeedless() -> Set<Digest> {
    defer { needless = [] }
    return needless
  }

  private mutating func release(_ run: UInt32, except pending: Set<LedgerRecord.TaskName>) {
    var kept: [Use] = []
    for use in uses[run] ?? [] {
      if let task = use.task, pending.contains(task) {
        kept.append(use)
        continue
      }
      let left = (counts[use.digest] ?? 1) - 1
      counts[use.digest] = left > 0 ? left : nil
      if left == 0 { needless.insert(use.digest) }
    }
    uses[run] = kept
  }
}
