// Apache-2.0.
import CSQLite

/// One statement, prepared once and run many times; finalised when it goes.
// SAFETY: the pointer has one owner, is finalised once and never escapes. SQLite keeps a connection
// open until its last statement is finalised, so the order of the two does not matter.
@safe struct SQLiteStatement: ~Copyable {
  private let handle: OpaquePointer
  private let sql: String

  /// Prepares `sql` on an open connection.
  init(_ sql: String, in connection: borrowing SQLiteConnection) throws(LedgerError) {
    self.sql = sql
    unsafe handle = try connection.prepare(sql)
  }

  deinit { unsafe sqlite3_finalize(handle) }

  /// Runs the statement with `values` and returns its rows.
  @discardableResult
  func run(_ values: [SQLiteValue]) throws(LedgerError) -> [[SQLiteValue]] {
    defer { unsafe sqlite3_reset(handle) }
    for (index, value) in values.enumerated() {
      try check(unsafe Self.bind(value, handle, Int32(index + 1)), "bind to \(sql)")
    }
    var rows: [[SQLiteValue]] = []
    while true {
      let code = unsafe sqlite3_step(handle)
      if code == SQLITE_DONE { return rows }
      guard code == SQLITE_ROW else { throw failure(code, "run \(sql)") }
      let columns = unsafe sqlite3_column_count(handle)
      rows.append((0..<columns).map { unsafe Self.column(handle, $0) })
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
      message: unsafe String(cString: sqlite3_errmsg(sqlite3_db_handle(handle)))
    )
  }
}
