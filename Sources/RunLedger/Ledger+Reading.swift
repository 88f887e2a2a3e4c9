// Apache-2.0.
import Codecs

/// A record as a report wants it: when it was committed, and how great its payload is.
public struct LedgerEntry: Sendable {
  /// Microseconds since 1970, nil for rows of older programs.
  public let time: Int64?
  /// The record; a payload or state in a file of its own is left out.
  public let record: LedgerRecord
  /// Bytes of the payload or state.
  public let payloadBytes: Int
}

extension Ledger {
  /// Every record of a run in the order it was committed, as `forEachRecord` hands them out.
  ///
  /// - Throws: `LedgerError.corrupt` where a stored block does not match its checksum, `.missing` where
  ///   the file of a payload is not there or not what its name says.
  public func records(of run: UInt32) throws -> [LedgerRecord] {
    var records: [LedgerRecord] = []
    try forEachRecord(of: run) { records.append($0) }
    return records
  }

  /// Hands out every record of a run in the order it was committed, great payloads one at a time.
  ///
  /// A checkpoint stands for what led to it: of the checkpoints only the last is handed out, and
  /// contributions before it that it does not call pending have no payload where that was great.
  ///
  /// - Throws: as `records`, and whatever `body` throws.
  public func forEachRecord(of run: UInt32, _ body: (LedgerRecord) throws -> Void) throws {
    let last = try checkpoint(of: run)
    let rows = try database.query(
      "SELECT id, body, checksum FROM record WHERE run = ? ORDER BY id",
      .integer(Int64(run))
    )
    for row in rows {
      let (id, stored) = try Row.read(row)
      let isPast = id < last?.row ?? 0
      switch stored {
      case .whole(.checkpoint) where isPast: continue
      case .whole(let record): try body(record)
      case .reference(let found):
        switch found.record {
        case .checkpoint where isPast: continue
        case .contribution(_, let round, let client, _, _)
        where isPast && last?.pending.contains(.init(client: client, base: round)) != true:
          try body(found.record)
        default: try body(try block(of: found, row: id))
        }
      }
    }
  }

  /// The version of a run's last checkpoint, nil where there is none.
  public func checkpointedVersion(of run: UInt32) throws -> UInt32? {
    try checkpoint(of: run)?.version
  }

  /// Hands out every record of a run in the order it was committed, without great payloads.
  ///
  /// - Throws: `LedgerError.corrupt`, and whatever `body` throws.
  public func forEachEntry(of run: UInt32, _ body: (LedgerEntry) throws -> Void) throws {
    let rows = try database.query(
      "SELECT id, body, checksum, time FROM record WHERE run = ? ORDER BY id",
      .integer(Int64(run))
    )
    for row in rows {
      var time: Int64?
      if case .integer(let found)? = row.last { time = found }
      switch try Row.read(Array(row.prefix(3))).stored {
      case .whole(let record):
        let count = record.block?.count ?? 0
        try body(LedgerEntry(time: time, record: record, payloadBytes: count))
      case .reference(let found):
        try body(LedgerEntry(time: time, record: found.record, payloadBytes: found.length))
      }
    }
  }

  private func checkpoint(
    of run: UInt32
  ) throws(LedgerError) -> (row: Int64, version: UInt32, pending: Set<LedgerRecord.TaskName>)? {
    let rows = try database.query(
      """
      SELECT id, body, checksum FROM record
      WHERE run = ? AND kind = ? AND round IS NOT NULL ORDER BY round DESC LIMIT 1
      """,
      .integer(Int64(run)),
      .integer(Int64(LedgerRecord.Kind.checkpoint.rawValue))
    )
    guard let row = rows.first else { return nil }
    let (id, stored) = try Row.read(row)
    guard case .checkpoint(_, let version, let pending, _) = stored.record else {
      throw .corrupt(table: "record", row: id)
    }
    return (id, version, Set(pending))
  }

  /// What a row says.
  private enum Row {
    case whole(LedgerRecord)
    case reference(BlobReference)

    var record: LedgerRecord {
      switch self {
      case .whole(let record): record
      case .reference(let found): found.record
      }
    }

    /// Reads id, body and checksum.
    static func read(
      _ row: [SQLiteValue]
    ) throws(LedgerError) -> (id: Int64, stored: Row) {
      guard row.count == 3, case .integer(let id) = row[0], case .blob(let body) = row[1],
        case .blob(let checksum) = row[2]
      else { throw .unexpectedValue(column: "record") }
      guard Digest.sha256(of: body).bytes == checksum else {
        throw .corrupt(table: "record", row: id)
      }
      do throws(CodecError) {
        let stored: Row =
          BlobReference.isOne(body)
          ? .reference(try BlobReference(decoding: body)) : .whole(try LedgerRecord(decoding: body))
        return (id, stored)
      } catch {
        throw .corrupt(table: "record", row: id)
      }
    }
  }
}
