// Apache-2.0.
import Codecs
import FederatedCore
public import Reporting
public import RunLedger
import Telemetry
import WireProtocol

/// A run as a report shows it, read from its ledger alone.
public enum LedgerReport {
  /// What the ledger says of a run; times are those of its commits, from the first task on.
  ///
  /// Bytes are those of contributions: what else travelled, the ledger does not know.
  ///
  /// - Throws: `LedgerError`, or `RecoveryError` where there is no such run.
  public static func record(of run: UInt32, in ledger: borrowing Ledger) throws -> RunRecord {
    var history = History()
    try ledger.forEachEntry(of: run) { history.take($0) }
    guard let configuration = history.configuration else {
      throw RecoveryError.records(run: run, "is not in this ledger")
    }
    return history.record(run, configuration)
  }

  /// What is gathered record by record.
  private struct History {
    var configuration: RunConfiguration?
    var versions: [RunRecord.Version] = []
    var tasks: [RunRecord.Task] = []
    var clients = 0
    var base: Digest?
    var last: Digest?
    var state = RunState.running
    /// Seconds since 1970 of the first task, and of the latest record.
    var begin: Double?
    var end = 0.0
    var bytes = 0.0
    /// Start of each client's open task, and the version it is from.
    var open: [UInt32: (start: Double, base: UInt32)] = [:]
    var scores: [UInt32: (loss: Double, accuracy: Double?)] = [:]

    mutating func take(_ entry: LedgerEntry) {
      let now = entry.time.map { Double($0) / 1e6 } ?? end
      switch entry.record {
      case .run(_, _, let bytes): configuration = try? RunConfiguration(decoding: bytes)
      case .base(_, let digest): base = digest
      case .client: clients += 1
      case .task(_, let round, let client, _, _):
        begin = begin ?? now
        open[client] = (now, round)
      case .contribution(_, let round, let client, _, _):
        bytes += Double(entry.payloadBytes)
        if let task = open[client], task.base == round {
          open[client] = nil
          tasks.append(
            RunRecord.Task(
              client: Int(client),
              start: task.start - (begin ?? now),
              end: now - (begin ?? now),
              base: Int(round)
            )
          )
        }
      case .aggregation(_, let round, let weights, let digest):
        last = digest
        versions.append(
          RunRecord.Version(
            number: Int(round) + 1,
            time: now - (begin ?? now),
            bytes: bytes,
            ages: weights.map { Int(round - min(round, $0.base)) },
            loss: nil,
            accuracy: nil
          )
        )
      case .evaluation(_, let version, let loss, let accuracy): scores[version] = (loss, accuracy)
      case .state(_, let state, _): self.state = state
      case .layout, .checkpoint: break
      }
      end = max(end, now)
    }

    func record(_ run: UInt32, _ configuration: RunConfiguration) -> RunRecord {
      let first = RunRecord.Version(
        number: 0,
        time: 0,
        bytes: 0,
        ages: [],
        loss: scores[0]?.loss,
        accuracy: scores[0]?.accuracy
      )
      let scored = versions.map { version in
        let score = scores[UInt32(version.number)]
        return RunRecord.Version(
          number: version.number,
          time: version.time,
          bytes: version.bytes,
          ages: version.ages,
          loss: score?.loss,
          accuracy: score?.accuracy
        )
      }
      return RunRecord(
        name: configuration.name,
        facts: [
          ("run", "\(run), \(state.rawValue)"),
          ("algorithm", configuration.json["algorithm"]?.serialized() ?? ""),
          ("schedule", configuration.json["schedule"]?.serialized() ?? ""),
          ("trainable", configuration.trainable.joined(separator: " ")),
          ("seed", "\(configuration.seed)"),
          ("configuration", configuration.digest.description),
          ("base weights", base?.description ?? "none"),
          ("final version", last?.description ?? "none"),
          ("bytes", "payloads of the clients' results alone"),
        ],
        versions: [first] + scored,
        tasks: tasks,
        clients: clients,
        duration: begin.map { end - $0 } ?? 0
      )
    }
  }
}
