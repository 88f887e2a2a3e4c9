// Apache-2.0.
import Codecs
import CommandLineTool
import Glibc
import ModelFiles
import Transport

/// The folder that holds everything a server must keep.
///
///     FOLDER/authority/      certificate authority, enrolled clients
///     FOLDER/ledger.sqlite   every run
///     FOLDER/blobs/          great payloads of the runs, and what has come of those under way
///     FOLDER/server.json     where it listens
///     FOLDER/admin.sock      while it runs: orders of its own user
struct ServerFolder {
  /// The option every command has.
  static let option = Option.value("dir", "DIR", "The server's folder; see fedserver init.")

  let path: String

  init(path: String) { self.path = path }

  /// The folder that `--dir` names; below the user's state folder otherwise.
  init(_ arguments: Arguments) throws(CommandFailure) {
    if let given = arguments.value("dir") {
      path = given
    } else if let state = Self.environment("XDG_STATE_HOME") {
      path = "\(state)/samara/server"
    } else if let home = Self.environment("HOME") {
      path = "\(home)/.local/state/samara/server"
    } else {
      throw .usage("--dir is required where HOME is not set")
    }
  }

  var authority: String { "\(path)/authority" }
  var ledger: String { "\(path)/ledger.sqlite" }
  var blobs: String { "\(path)/blobs" }
  var socket: String { "\(path)/admin.sock" }
  private var settings: String { "\(path)/server.json" }

  /// Where a server listens, and what it tells its clients about that.
  struct Settings {
    var listen: [SocketAddress]
    var advertise: [SocketAddress]
  }

  /// Makes the folder and those above it, closed to other users.
  func create() throws(CommandFailure) {
    var built = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      built += "/\(part)"
      guard unsafe mkdir(built, 0o700) == 0 || errno == EEXIST else {
        throw CommandFailure("cannot make \(built): \(Self.systemReason())")
      }
    }
  }

  func write(_ settings: Settings) throws {
    let json = JSONValue.object([
      .init("listen", .array(settings.listen.map { .string("\($0)") })),
      .init("advertise", .array(settings.advertise.map { .string("\($0)") })),
    ])
    try ModelFolder.write(Array((json.serialized(pretty: true) + "\n").utf8), to: self.settings)
  }

  /// - Throws: `CommandFailure` where `init` was not run.
  func read() throws -> Settings {
    guard unsafe access(settings, F_OK) == 0 else {
      throw CommandFailure("\(path) is no server's folder; run fedserver init first", code: .usage)
    }
    let json = JSONField(try ModelFolder.json(settings), path: settings)
    return Settings(
      listen: try json["listen"].items().map { try SocketAddress(try $0.string()) },
      advertise: try json["advertise"].items().map { try SocketAddress(try $0.string()) }
    )
  }

  static func systemReason() -> String {
    // SAFETY: strerror's text is copied at once.
    unsafe String(cString: strerror(errno))
  }

  private static func environment(_ name: String) -> String? {
    // SAFETY: getenv's text is copied at once; nothing here writes the environment.
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }
}
