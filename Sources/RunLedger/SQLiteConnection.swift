// Apache-2.0.
import CSQLite

/// A value of a row.
public enum SQLiteValue: Sendable, Equatable {
  case null
  case integer(Int64)
  case real(Double)
  case text(String)
  case blob([UInt8])
}

/// One open database file; closed when it goes.
///
/// Write-ahead log with `synchronous=FULL`: what was committed survives a crash and a power cut.
// SAFETY: the handle has one owner, is closed once and never escapes.
@safe struct SQLiteConnection: ~Copyable {
  private let handle: OpaquePointer

  /// Opens or creates a file; `:memory:` for a database that lives as long as the connection.
  static func open(path: String) throws(LedgerError) -> SQLiteConnection {
    var opened: OpaquePointer?
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
    let code = unsafe sqlite3_open_v2(path, &opened, flags, nil)
    guard code == SQLITE_OK, let opened = unsafe opened else {
      let message = unsafe String(cString: sqlite3_errstr(code))
      unsafe sqlite3_close_v2(opened)
      throw .database(attempt: "open \(path)", code: code, message: message)
    }
    let connection = unsafe SQLiteConnection(handle: opened)
    for pragma in ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"] {
      try connection.execute("PRAGMA \(pragma)")
    }
    return connection
  }

  private init(handle: OpaquePointer) { unsafe self.handle = handle }

  deinit { unsafe sqlite3_close_v2(handle) }

  /// Runs one statement and drops its rows.
  func execute(_ sql: String, _ values: SQLiteValue...) throws(LedgerError) {
    try SQLiteStatement(sql, in: self).run(values)
  }

  /// Runs one statement and returns its rows.
  func query(_ sql: String, _ values: SQLiteValue...) throws(LedgerError) -> [[SQLiteValue]] {
    try SQLiteStatement(sql, in: self).run(values)
  }

  /// Rows changed by the last statement.
  var changes: Int { Int(unsafe sqlite3_changes(handle)) }

  /// A statement for `SQLiteStatement`, which finalises it.
  func prepare(_ sql: String) throws(LedgerError) -> OpaquePointer {
    var prepared: OpaquePointer?
    let code = unsafe sqlite3_prepare_v2(handle, sql, -1, &prepared, nil)
    guard code == SQLITE_OK, let statement = unsafe prepared else {
      throw .database(
        attempt: "prepare \(sql)",
        code: code,
        message: unsafe String(cString: sqlite3_errmsg(handle))
      )
    }
    return unsafe statement
  }
}
