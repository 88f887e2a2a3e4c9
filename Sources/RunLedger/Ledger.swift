// Apache-2.0.
import Codecs

/// The append-only record of all runs in one SQLite file.
///
/// Whatever `commit` returned from is on the disk: the server acknowledges nothing before. Records of
/// several clients are committed together, since one fsync costs milliseconds and carries thousands.
public struct Ledger: ~Copyable {
  private let insertion: SQLiteStatement
  private let database: SQLiteConnection

  /// The schema this program writes.
  static let schemaVersion: Int64 = 1

  /// Opens or creates the ledger at `path`; `:memory:` for one that is not kept.
  ///
  /// - Throws: `LedgerError` where the file cannot be opened or is of a newer schema.
  public init(path: String) throws(LedgerError) {
    let opened = try SQLiteConnection.open(path: path)
    let version = try opened.query("PRAGMA user_version").first?.first
    switch version {
    case .integer(0): try Self.createSchema(in: opened)
    case .integer(Self.schemaVersion): break
    case .integer(let found):
      throw .newerSchema(found: found, known: Self.schemaVersion)
    default: throw .unexpectedValue(column: "user_version")
    }
    insertion = try SQLiteStatement(
      """
      INSERT INTO record (run, kind, round, client, body, checksum) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT DO NOTHING
      """,
      in: opened
    )
    database = opened
  }

  /// Appends records in one transaction: all of them are durable when this returns, or none is.
  ///
  /// - Returns: for each record whether it was new; a contribution already held is not.
  @discardableResult
  public func commit(_ records: [LedgerRecord]) throws(LedgerError) -> [Bool] {
    if records.isEmpty { return [] }
    try database.execute("BEGIN IMMEDIATE")
    do throws(LedgerError) {
      var new: [Bool] = []
      for record in records { new.append(try append(record)) }
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
  public func records(of run: UInt32) throws(LedgerError) -> [LedgerRecord] {
    let rows = try database.query(
      "SELECT id, body, checksum FROM record WHERE run = ? ORDER BY id",
      .integer(Int64(run))
    )
    var records: [LedgerRecord] = []
    for row in rows { records.append(try Self.decode(row)) }
    return records
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
        checksum BLOB NOT NULL
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

  private func append(_ record: LedgerRecord) throws(LedgerError) -> Bool {
    let key = record.key
    let body = record.encoded
    try insertion.run([
      .integer(Int64(key.run)),
      .integer(Int64(record.kind.rawValue)),
      key.round.map { .integer(Int64($0)) } ?? .null,
      key.client.map { .integer(Int64($0)) } ?? .null,
      .blob(body),
      .blob(Digest.sha256(of: body).bytes),
    ])
    return database.changes == 1
  }

  private static func decode(_ row: [SQLiteValue]) throws(LedgerError) -> LedgerRecord {
    guard row.count == 3, case .integer(let id) = row[0], case .blob(let body) = row[1],
      case .blob(let checksum) = row[2]
    else { throw .unexpectedValue(column: "record") }
    guard Digest.sha256(of: body).bytes == checksum else {
      throw .corrupt(table: "record", row: id)
    }
    do throws(CodecError) {
      return try LedgerRecord(decoding: body)
    } catch {
      throw .corrupt(table: "record", row: id)
    }
  }
}
