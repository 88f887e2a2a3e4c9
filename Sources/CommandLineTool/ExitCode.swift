// Apache-2.0.

/// What a program's exit status says, the same for every program of the project.
public enum ExitCode: Int32, Sendable {
  /// Everything asked for was done.
  case ok = 0
  /// The run or the work failed.
  case failed = 1
  /// No connection, or the peer refused our identity.
  case connection = 2
  /// A time limit passed.
  case timeout = 3
  /// The command line or a file named on it is wrong.
  case usage = 4
  /// A defect in the program.
  case bug = 5
  /// Stopped by SIGINT.
  case interrupted = 130
}

/// A failure with the text a user should read and the status to leave with.
///
/// Commands translate the error enums of the modules below into it where another status than
/// `ExitCode.failed` is due; every other error leaves with `failed` and its own description.
public struct CommandFailure: Error, CustomStringConvertible {
  /// What was wrong, where, and what to do.
  public let description: String
  /// The status to leave with.
  public let code: ExitCode

  /// A failure.
  public init(_ description: String, code: ExitCode = .failed) {
    self.description = description
    self.code = code
  }

  /// A wrong command line.
  public static func usage(_ description: String) -> CommandFailure {
    CommandFailure(description, code: .usage)
  }
}
