// Apache-2.0.
import CommandLineTool
import Glibc
import Transport

/// The folder that holds what a client must keep.
///
///     FOLDER/client.key, client.crt, ca.crt, server   who it is and where its server listens
///     FOLDER/version                                  the model version it has reached
///     FOLDER/parts/                                   what has come of great messages
///     FOLDER/lock                                     held while it runs
struct ClientFolder {
  /// The option every command has that needs the folder.
  static let option = Option.value("dir", "DIR", "The client's folder; see fedclient join.")

  let path: String

  /// The folder that `--dir` names; below the user's state folder otherwise.
  init(_ arguments: Arguments) throws(CommandFailure) {
    if let given = arguments.value("dir") {
      path = given
    } else if let state = Self.environment("XDG_STATE_HOME") {
      path = "\(state)/samara/client"
    } else if let home = Self.environment("HOME") {
      path = "\(home)/.local/state/samara/client"
    } else {
      throw .usage("--dir is required where HOME is not set")
    }
  }

  /// Makes the folder and those above it, closed to other users.
  func create() throws(CommandFailure) {
    var built = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      built += "/\(part)"
      guard unsafe mkdir(built, 0o700) == 0 || errno == EEXIST else {
        throw CommandFailure("cannot make \(built): \(systemReason())")
      }
    }
  }

  /// Who the client is.
  ///
  /// - Throws: `CommandFailure` where it has not joined.
  func identity() throws(CommandFailure) -> ClientIdentity {
    do throws(TransportError) {
      return try ClientIdentity(folder: path)
    } catch {
      throw CommandFailure("\(error)", code: .usage)
    }
  }

  private static func environment(_ name: String) -> String? {
    // SAFETY: getenv's text is copied at once; nothing here writes the environment.
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }
}

/// Says that one process uses a client's folder; given back when the value goes or the process ends.
struct FolderLock: ~Copyable {
  private let descriptor: Int32

  /// Takes the lock; nil where another process has it.
  init?(_ folder: ClientFolder) throws(CommandFailure) {
    let path = "\(folder.path)/lock"
    let opened = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard opened >= 0 else { throw CommandFailure("\(path): \(systemReason())") }
    guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
      _ = close(opened)
      return nil
    }
    descriptor = opened
  }

  deinit { _ = close(descriptor) }
}

/// The words of `errno`.
func systemReason() -> String {
  // SAFETY: strerror's text is copied at once.
  unsafe String(cString: strerror(errno))
}
