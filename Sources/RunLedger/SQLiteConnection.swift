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
    _ = try rows(sql, values)
  }

  /// Runs one statement and returns its rows.
  func query(_ sql: String, _ values: SQLiteValue...) throws(LedgerError) -> [[SQLiteValue]] {
    try rows(sql, values)
  }

  /// Rows changed by the last statement.
  var changes: Int { Int(unsafe sqlite3_changes(handle)) }

  private func rows(
    _ sql: String,
    _ values: [SQLiteValue]
  ) throws(LedgerError) -> [[SQLiteValue]] {
    var prepared: OpaquePointer?
    try check(unsafe sqlite3_prepare_v2(handle, sql, -1, &prepared, nil), "prepare \(sql)")
    guard let statement = unsafe prepared else { return [] }
    defer { unsafe sqlite3_finalize(statement) }
    for (index, value) in values.enumerated() {
      try check(unsafe Self.bind(value, statement, Int32(index + 1)), "bind to \(sql)")
    }
    var rows: [[SQLiteValue]] = []
    while true {
      let code = unsafe sqlite3_step(statement)
      if code == SQLITE_DONE { return rows }
      guard code == SQLITE_ROW else {
        throw failure(code, "run \(sql)")
      }
      let columns = unsafe sqlite3_column_count(statement)
      rows.append((0..<columns).map { unsafe Self.column(statement, $0) })
    }
  }

  /// SQLite copies what is bound, so nothing need outlive the call.
  private static func bind(
    _ value: SQLiteValue,
    _ statement: OpaquePointer,
    _ index: Int32
  ) -> Int32 {
    switch value {
    case .null: return unsafe sqlite3_bind_null(statement, index)
    case .integer(let number): return unsafe sqlite3_bind_int64(statement, index, number)
    case .real(let number): return unsafe sqlite3_bind_double(statement, index, number)
    case .text(let text):
      let utf8 = Array(text.utf8)
      return unsafe utf8.withUnsafeBytes {
        unsafe samara_bind_text(statement, index, $0.baseAddress, Int32($0.count))
      }
    case .blob(let bytes):
      return unsafe bytes.withUnsafeBytes {
        unsafe samara_bind_blob(statement, index, $0.baseAddress, Int32($0.count))
      }
    }
  }

  private static func column(_ statement: OpaquePointer, _ index: Int32) -> SQLiteValue {
    switch unsafe sqlite3_column_type(statement, index) {
    case SQLITE_INTEGER: return .integer(unsafe sqlite3_column_int64(statement, index))
    case SQLITE_FLOAT: return .real(unsafe sqlite3_column_double(statement, index))
    case SQLITE_NULL: return .null
    case let type:
      // SAFETY: SQLite's pointer holds `count` bytes until the next step; both are copied at once.
      let start = unsafe sqlite3_column_blob(statement, index)
      let count = Int(unsafe sqlite3_column_bytes(statement, index))
      let bytes = unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: count))
      return type == SQLITE_TEXT ? .text(String(decoding: bytes, as: UTF8.self)) : .blob(bytes)
    }
  }

  private func check(_ code: Int32, _ attempt: String) throws(LedgerError) {
    guard code == SQLITE_OK else { throw failure(code, attempt) }
  }

  private func failure(_ code: Int32, _ attempt: String) -> LedgerError {
    .database(
      attempt: attempt,
      code: code,
      message: unsafe String(cString: sqlite3_errmsg(handle))
    )
  }
}
