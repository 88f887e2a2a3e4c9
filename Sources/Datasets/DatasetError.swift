// Apache-2.0.
import Glibc

/// Why data cannot be read or shared out at all; single bad rows are skipped and reported instead.
public enum DatasetError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The system refused: what was attempted, and `errno`.
  case system(attempt: String, code: Int32)
  /// The file is not of its format.
  case malformed(file: String, line: Int, reason: String)
  /// A file of arrays that gives no examples, or one of the other kind than the model reads.
  case arrays(file: String, reason: String)
  /// No format or template of that name; the names there are.
  case unknownName(kind: String, name: String, known: [String])
  /// Nothing in the file gave an example.
  case empty(path: String, skipped: [SkippedRow])
  /// The examples cannot be shared out so.
  case partition(String)

  /// What was wrong, where, and what to do.
  public var description: String {
    switch self {
    case .system(let attempt, let code):
      // SAFETY: strerror's text is copied at once.
      "cannot \(attempt): \(unsafe String(cString: strerror(code)))"
    case .malformed(let file, let line, let reason): "\(file):\(line): \(reason)"
    case .arrays(let file, let reason): "\(file): \(reason)"
    case .unknownName(let kind, let name, let known):
      "there is no \(kind) '\(name)'; write one of \(known.joined(separator: ", "))"
    case .empty(let path, let skipped):
      skipped.isEmpty
        ? "\(path): no examples" : "\(path): no examples; \(skipped.summary())"
    case .partition(let reason): "partition: \(reason)"
    }
  }
}
