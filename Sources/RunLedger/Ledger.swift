// Apache-2.0.
import Codecs
import Glibc

/// The append-only record of all runs in one SQLite file.
///
/// Whatever `commit` returned from is on the disk: the server acknowledges nothing before. Records of
/// several clients are committed together, since one fsync costs milliseconds and carries thousands.
public struct Ledger: ~Copyable {
  private let insertion: SQLiteStatement
  let database: SQLiteConnection
  private let blobs: BlobFolder?
  private let files: Files
  private let clock: @Sendable () -> Int64

  /// What the rows need of the folder; the ledger has one owner.
  private final class Files {
    var account: BlobAccount
    init(_ account: BlobAccount) { self.account = account }
  }

  /// The schema this program writes: since 2, rows say when they were committed; since 3, there are
  /// checkpoints, and files of payloads before them may be gone.
  static let schemaVersion: Int64 = 3

  /// Payloads of fewer bytes lie in the file itself.
  public static let greatPayload = BlobFolder.least

  /// Opens or creates the ledger at `path`; `:memory:` for one that is not kept.
  ///
  /// - Parameters:
  ///   - blobs: folder for great payloads, which lie in the file itself where it is nil. Whoever gives it
  ///     is its only writer: what no record needs is removed.
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
    case .integer(2): try opened.execute("PRAGMA user_version = \(Self.schemaVersion)")
    case .integer(Self.schemaVersion): break
    case .integer(let found):
      throw .newerSchema(found: found, known: Self.schemaVersion)
    default: throw .unexpectedValue(column: "user_version")
    }
    let (folder, account) = try Self.blobs(in: folder, of: opened)
    insertion = try SQLiteStatement(
      """
      INSERT INTO record (run, kind, round, client, body, checksum, time)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO NOTHING
      """,
      in: opened
    )
    database = opened
    blobs = folder
    files = Files(account)
  }

  /// The folder of great payloads with what the rows need of it, and nothing else.
  private static func blobs(
    in folder: String?,
    of database: borrowing SQLiteConnection
  ) throws(LedgerError) -> (BlobFolder?, BlobAccount) {
    guard let folder else { return (nil, BlobAccount()) }
    let blobs = try BlobFolder(folder)
    var account = try account(of: database)
    _ = account.takeNeedless()
    blobs.removeStrays(except: account.needed)
    return (blobs, account)
  }

  /// Appends records in one transaction: all of them are durable when this returns, or none is.
  ///
  /// - Returns: for each record whether it was new; a contribution already held is not.
  @discardableResult
  public func commit(_ records: [LedgerRecord]) throws(LedgerError) -> [Bool] {
    if records.isEmpty { return [] }
    let rows = try rows(of: records)
    let time = clock()
    try database.execute("BEGIN IMMEDIATE")
    do throws(LedgerError) {
      var new: [Bool] = []
      for (record, row) in zip(records, rows) { new.append(try append(record, row.body, time)) }
      try database.execute("COMMIT")
      for (record, row) in zip(records, rows) { files.account.add(record, row.file) }
      return new
    } catch {
      // The transaction may be gone already, as after a full disk: the first error is the one to tell.
      try? database.execute("ROLLBACK")
      throw error
    }
  }

  /// Removes the files that checkpoints have made needless since it was called last.
  ///
  /// Apart from `commit`, so that nobody waits for it; what a crash leaves is removed by the next `init`.
  public func removeNeedless() {
    for digest in files.account.takeNeedless() { blobs?.remove(digest) }
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

  /// What the rows hold; great blocks are in their files, durable, when this returns.
  private func rows(
    of records: [LedgerRecord]
  ) throws(LedgerError) -> [(body: [UInt8], file: Digest?)] {
    var rows: [(body: [UInt8], file: Digest?)] = []
    var hasKept = false
    for record in records {
      guard let blobs, let block = record.block, block.count >= BlobFolder.least else {
        rows.append((record.encoded, nil))
        continue
      }
      let digest = try blobs.keep(block)
      hasKept = true
      rows.append((BlobReference(record, length: block.count, digest: digest).encoded, digest))
    }
    if hasKept { try blobs?.sync() }
    return rows
  }

  /// What the rows need of the folder of great payloads.
  private static func account(
    of database: borrowing SQLiteConnection
  ) throws(LedgerError) -> BlobAccount {
    let rows = try database.query(
      "SELECT body FROM record WHERE kind = ? OR kind = ? AND substr(body, 1, 1) = ? ORDER BY id",
      .integer(Int64(LedgerRecord.Kind.checkpoint.rawValue)),
      .integer(Int64(LedgerRecord.Kind.contribution.rawValue)),
      .blob([BlobReference.contribution])
    )
    var account = BlobAccount()
    for row in rows {
      // One that cannot be read is told when its run is.
      guard case .blob(let body)? = row.first else { continue }
      if BlobReference.isOne(body) {
        guard let found = try? BlobReference(decoding: body) else { continue }
        account.add(found.record, found.digest)
      } else if let record = try? LedgerRecord(decoding: body) {
        account.add(record, nil)
      }
    }
    return account
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

  /// The block of a reference, from its file.
  func block(of found: BlobReference, row: Int64) throws(LedgerError) -> LedgerRecord {
    guard let block = blobs?.load(found.digest, length: found.length) else {
      throw .missing(file: "\(found.digest)", row: row)
    }
    return found.record.with(block: block)
  }
}
