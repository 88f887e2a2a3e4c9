// Apache-2.0.

/// What the ledger refused or could not do.
public enum LedgerError: Error, Equatable, Sendable, CustomStringConvertible {
  /// SQLite failed: what was attempted, its code, its words.
  case database(attempt: String, code: Int32, message: String)
  /// A file beside the ledger cannot be written: the call, the file, the system's words.
  case file(call: String, path: String, reason: String)
  /// The file was written by a newer program.
  case newerSchema(found: Int64, known: Int64)
  /// A stored block no longer matches its checksum.
  case corrupt(table: String, row: Int64)
  /// The file of a great payload is not there, or not what its name says.
  case missing(file: String, row: Int64)
  /// A stored value is of another kind or out of range.
  case unexpectedValue(column: String)

  /// What was wrong, where, and what to do.
  public var description: String {
    switch self {
    case .database(let attempt, let code, let message):
      "ledger: cannot \(attempt): \(message) (SQLite code \(code))"
    case .file(let call, let path, let reason): "ledger: \(path): \(call): \(reason)"
    case .newerSchema(let found, let known):
      "ledger: schema version \(found) is newer than \(known); use the program that wrote it"
    case .corrupt(let table, let row):
      "ledger: row \(row) of \(table) does not match its checksum; restore a backup of the file"
    case .missing(let file, let row):
      "ledger: row \(row) needs the file \(file), which is missing or damaged; restore a backup of blobs"
    case .unexpectedValue(let column):
      "ledger: column \(column) holds an unexpected value; restore a backup of the file"
    }
  }
}
