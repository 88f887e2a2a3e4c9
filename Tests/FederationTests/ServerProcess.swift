// Apache-2.0.
import Glibc

/// A program of this build as a process of its own, so that it can be killed.
final class ServerProcess {
  private(set) var process: pid_t = 0
  private let words: [String]
  private let log: String

  /// Starts `program`; what it writes is added to the file `log`.
  init(_ program: String, _ words: [String], log: String) throws {
    self.words = [Self.path(program)] + words
    self.log = log
    try start()
  }

  deinit { if process > 0 { kill(SIGKILL) } }

  /// Starts the program, again where it has ended.
  func start() throws {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    for descriptor: Int32 in [1, 2] {
      unsafe posix_spawn_file_actions_addopen(
        &actions,
        descriptor,
        log,
        O_WRONLY | O_CREAT | O_APPEND,
        0o600
      )
    }
    // SAFETY: the copies live until the call is over.
    let copies = unsafe words.map { unsafe strdup($0) }
    defer { unsafe copies.forEach { unsafe free($0) } }
    let code = unsafe posix_spawn(&process, words[0], &actions, nil, copies + [nil], environ)
    guard code == 0 else { throw ProcessFailure(program: words[0], code: code) }
  }

  /// Ends it by a signal and waits; its status where it left by itself, nil where the signal ended it.
  @discardableResult
  func kill(_ signal: Int32) -> Int32? {
    var status: Int32 = 0
    _ = Glibc.kill(process, signal)
    while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
    process = 0
    return status & 0x7F == 0 ? status >> 8 & 0xFF : nil
  }

  /// Runs a program to its end; its status.
  static func run(_ program: String, _ words: [String], log: String) throws -> Int32? {
    // Signal 0 is none.
    try ServerProcess(program, words, log: log).kill(0)
  }

  /// The program beside the tests in the folder of the build.
  private static func path(_ program: String) -> String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    // SAFETY: readlink writes at most the count it is given.
    let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count)
    let own = String(
      decoding: buffer.prefix(max(0, count)).map(UInt8.init(bitPattern:)),
      as: UTF8.self
    )
    return own.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/\(program)"
  }
}

/// A program that could not be started.
struct ProcessFailure: Error, CustomStringConvertible {
  let program: String
  let code: Int32
  var description: String { "\(program) does not start: \(unsafe String(cString: strerror(code)))" }
}
