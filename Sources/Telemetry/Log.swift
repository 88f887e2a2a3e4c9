// Apache-2.0.

/// How much a log line matters.
public enum LogLevel: UInt8, Sendable, Comparable {
  /// For finding defects.
  case debug
  /// What goes on.
  case info
  /// Something is wrong and was dealt with.
  case warning
  /// Something failed.
  case error

  /// Order of importance.
  public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
}

/// A log: lines with a level and a time, given to a sink.
public struct Log: Sendable {
  private let minimum: LogLevel
  private let time: TimeSource
  private let sink: @Sendable (String) -> Void

  /// A log that passes lines of at least `minimum` on to `sink`, stamped by `time` (UTC).
  public init(
    minimum: LogLevel = .info,
    time: TimeSource = .wall,
    sink: @escaping @Sendable (String) -> Void
  ) {
    self.minimum = minimum
    self.time = time
    self.sink = sink
  }

  /// A log that drops everything.
  public static let silent = Log(minimum: .error) { _ in }

  /// Writes a line.
  public func write(_ level: LogLevel, _ message: @autoclosure () -> String) {
    guard level >= minimum else { return }
    let mark = level >= .warning ? "\(level): " : ""
    sink("\(timeOfDay(time.now)) \(mark)\(message())")
  }

  /// Writes a line of level `info`.
  public func info(_ message: @autoclosure () -> String) { write(.info, message()) }

  /// Writes a line of level `warning`.
  public func warning(_ message: @autoclosure () -> String) { write(.warning, message()) }

  /// Writes a line of level `error`.
  public func error(_ message: @autoclosure () -> String) { write(.error, message()) }

  /// Writes a line of level `debug`.
  public func debug(_ message: @autoclosure () -> String) { write(.debug, message()) }
}

/// `HH:MM:SS.mmm` of a time since 1970.
private func timeOfDay(_ time: Duration) -> String {
  let seconds = Int(time.components.seconds % 86_400)
  let milliseconds = Int(time.components.attoseconds / 1_000_000_000_000_000)
  func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
  let fraction = String(String(1000 + milliseconds).dropFirst())
  return "\(two(seconds / 3600)):\(two(seconds / 60 % 60)):\(two(seconds % 60)).\(fraction)"
}
