// Apache-2.0.
import Codecs
import Glibc

/// The append-only record of all runs in one SQLite file.
///
/// Whatever `commit` returned from is on the disk: the server acknowledges nothing before. Records of
/// several clients are committed together, since one fsync costs milliseconds and carries thousands.
public struct Ledger: ~Copyable {
  private let insertion: SQLiteStatement
  private let database: SQLiteConnection
  private let blobs: BlobFolder?
  private let clock: @Sendable () -> Int64

  /// The schema this program writes: since 2, rows say when they were committed.
  static let schemaVersion: Int64 = 2

  /// Opens or creates the ledger at `path`; `:memory:` for one that is not kept.
  ///
  /// - Parameters:
  ///   - blobs: folder for great payloads, which lie in the file itself where it is nil. What no record
  ///     refers to is removed.
  ///   - clock: microseconds since 1970, for reports; nothing that counts depends on it.
  /// - Throws: `LedgerError` where the file cannot be opened or is of a newer schema.
  public init(
    path: String,
    blobs folder: String? = nil,
    clock: @escaping @Sendable () -> Int64 = { Ledger.wallClock() }
  ) throws(LedgerError) {
    self.clock = clock
    let opened = try SQLiteConnection.open(path: path)
    let version = try opened.query("PRAGMA user_version").first?.first
    switch version {
    case .integer(0): try Self.createSchema(in: opened)
    case .integer(1):
      try opened.execute("ALTER TABLE record ADD COLUMN time INTEGER")
      try opened.execute("PRAGMA user_version = \(Self.schemaVersion)")
    case .integer(Self.schemaVersion): break
    case .integer(let found):
      throw .newerSchema(found: found, known: Self.schemaVersion)
    default: throw .unexpectedValue(column: "user_version")
    }
    let kept = try Self.blobs(in: folder, of: opened)
    insertion = try SQLiteStatement(
      """
      INSERT INTO record (run, kind, round, client, body, checksum, time)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO NOTHING
      """,
      in: opened
    )
    database = opened
    blobs = kept
  }

  /// The folder of great payloads, without those whose commit never came.
  private static func blobs(
    in folder: String?,
    of database: borrowing SQLiteConnection
  ) throws(LedgerError) -> BlobFolder? {
    guard let folder else { return nil }
    let blobs = try BlobFolder(folder)
    blobs.removeStrays(except: try references(in: database))
    return blobs
  }

  /// Appends records in one transaction: all of them are durable when this returns, or none is.
  ///
  /// - Returns: for each record whether it was new; a contribution already held is not.
  @discardableResult
  public func commit(_ records: [LedgerRecord]) throws(LedgerError) -> [Bool] {
    if records.isEmpty { return [] }
    let bodies = try bodies(of: records)
    let time = clock()
    try database.execute("BEGIN IMMEDIATE")
    do throws(LedgerError) {
      var new: [Bool] = []
      for (record, body) in zip(records, bodies) { new.append(try append(record, body, time)) }
      try database.execute("COMMIT")
      return new
    } catch {
      // The transaction may be gone already, as after a full disk: the first error is the one to tell.
      try? database.execute("ROLLBACK")
      throw error
    }
  }

  /// Every record of a run in the order it was committed.
  ///
  /// - Throws: `LedgerError.corrupt` where a stored block does not match its checksum.
  public func records(of run: UInt32) throws -> [LedgerRecord] {
    var records: [LedgerRecord] = []
    try forEachRecord(of: run) { records.append($0) }
    return records
  }

  /// Hands out every record of a run in the order it was committed, great payloads one at a time.
  ///
  /// - Throws: `LedgerError.corrupt` where a stored block does not match its checksum, and whatever
  ///   `body` throws.
  public func forEachRecord(of run: UInt32, _ body: (LedgerRecord) throws -> Void) throws {
    let rows = try database.query(
      "SELECT id, body, checksum FROM record WHERE run = ? ORDER BY id",
      .integer(Int64(run))
    )
    for row in rows { try body(try decode(row)) }
  }

  /// The runs in the ledger, oldest first.
  public func runs() throws(LedgerError) -> [UInt32] {
    var ids: [UInt32] = []
    for row in try database.query("SELECT DISTINCT run FROM record ORDER BY run") {
      guard case .integer(let id) = row.first, let run = UInt32(exactly: id) else {
        throw .unexpectedValue(column: "run")
      }
      ids.append(run)
    }
    return ids
  }

  private static func createSchema(in database: borrowing SQLiteConnection) throws(LedgerError) {
    try database.execute("BEGIN IMMEDIATE")
    try database.execute(
      """
      CREATE TABLE record (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        round INTEGER,
        client INTEGER,
        body BLOB NOT NULL,
        checksum BLOB NOT NULL,
        time INTEGER
      )
      """
    )
    try database.execute("CREATE INDEX record_by_run ON record (run, id)")
    // Exactly once: what makes an event itself makes its key.
    try database.execute(
      "CREATE UNIQUE INDEX record_once ON record (run, kind, round, client) WHERE round IS NOT NULL"
    )
    // Append-only by the file's own rules, whoever opens it.
    for action in ["UPDATE", "DELETE"] {
      try database.execute(
        """
        CREATE TRIGGER no_\(action.lowercased()) BEFORE \(action) ON record
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
        """
      )
    }
    try database.execute("PRAGMA user_version = \(schemaVersion)")
    try database.execute("COMMIT")
  }

  /// What the rows hold; great payloads are in their files, durable, when this returns.
  private func bodies(of records: [LedgerRecord]) throws(LedgerError) -> [[UInt8]] {
    var bodies: [[UInt8]] = []
    var hasKept = false
    for record in records {
      guard let blobs,
        case .contribution(let run, let round, let client, let loss, let payload) = record,
        payload.count >= BlobFolder.least
      else {
        bodies.append(record.encoded)
        continue
      }
      let reference = BlobReference(
        run: run,
        round: round,
        client: client,
        loss: loss,
        length: payload.count,
        digest: try blobs.keep(payload)
      )
      hasKept = true
      bodies.append(reference.encoded)
    }
    if hasKept { try blobs?.sync() }
    return bodies
  }

  /// Names of the files that records refer to.
  private static func references(
    in database: borrowing SQLiteConnection
  ) throws(LedgerError) -> Set<String> {
    let rows = try database.query(
      "SELECT body FROM record WHERE kind = ? AND substr(body, 1, 1) = ?",
      .integer(Int64(LedgerRecord.Kind.contribution.rawValue)),
      .blob([BlobReference.mark])
    )
    var names: Set<String> = []
    for row in rows {
      // One that cannot be read is told when its run is.
      guard case .blob(let body)? = row.first, let found = try? BlobReference(decoding: body)
      else { continue }
      names.insert(found.digest.description)
    }
    return names
  }

  private func append(
    _ record: LedgerRecord,
    _ body: [UInt8],
    _ time: Int64
  ) throws(LedgerError) -> Bool {
    let key = record.key
    try insertion.run([
      .integer(Int64(key.run)),
      .integer(Int64(record.kind.rawValue)),
      key.round.map { .integer(Int64($0)) } ?? .null,
      key.client.map { .integer(Int64($0)) } ?? .null,
      .blob(body),
      .blob(Digest.sha256(of: body).bytes),
      .integer(time),
    ])
    return database.changes == 1
  }

  /// Microseconds since 1970.
  public static func wallClock() -> Int64 {
    var now = timespec()
    // SAFETY: the kernel fills the structure.
    _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
    return Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1000
  }

  private func decode(_ row: [SQLiteValue]) throws(LedgerError) -> LedgerRecord {
    guard row.count == 3, case .integer(let id) = row[0], case .blob(let body) = row[1],
      case .blob(let checksum) = row[2]
    else { throw .unexpectedValue(column: "record") }
    guard Digest.sha256(of: body).bytes == checksum else {
      throw .corrupt(table: "record", row: id)
    }
    do throws(CodecError) {
      guard body.first == BlobReference.mark else { return try LedgerRecord(decoding: body) }
      let found = try BlobReference(decoding: body)
      guard let payload = blobs?.load(found.digest, length: found.length) else {
        throw CodecError.malformed(field: "payload", reason: "its file is missing or damaged")
      }
      return .contribution(
        run: found.run,
        round: found.round,
        client: found.client,
        loss: found.loss,
        payload: payload
      )
    } catch {
      throw .corrupt(table: "record", row: id)
    }
  }
}

/// A record as a report wants it: when it was committed, and how great its payload is.
public struct LedgerEntry: Sendable {
  /// Microseconds since 1970, nil for rows of older programs.
  public let time: Int64?
  /// The record; a payload in a file of its own is left out.
  public let record: LedgerRecord
  /// Bytes of the payload.
  public let payloadBytes: Int
}

extension Ledger {
  /// Hands out every record of a run in the order it was committed, without great payloads.
  ///
  /// - Throws: as `forEachRecord`.
  public func forEachEntry(of run: UInt32, _ body: (LedgerEntry) throws -> Void) throws {
    let rows = try database.query(
      "SELECT id, body, checksum, time FROM record WHERE run = ? ORDER BY id",
      .integer(Int64(run))
    )
    for row in rows {
      var time: Int64?
      if case .integer(let found)? = row.last { time = found }
      if row.count == 4, case .blob(let bytes) = row[1], bytes.first == BlobReference.mark,
        let found = try? BlobReference(decoding: bytes)
      {
        let record = LedgerRecord.contribution(
          run: found.run,
          round: found.round,
          client: found.client,
          loss: found.loss,
          payload: []
        )
        try body(LedgerEntry(time: time, record: record, payloadBytes: found.length))
        continue
      }
      let record = try decode(Array(row.prefix(3)))
      var count = 0
      if case .contribution(_, _, _, _, let payload) = record { count = payload.count }
      try body(LedgerEntry(time: time, record: record, payloadBytes: count))
    }
  }
}
