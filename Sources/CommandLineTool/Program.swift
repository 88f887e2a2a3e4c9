// Apache-2.0.
import Codecs
import Glibc

/// A program made of subcommands.
public struct Program: Sendable {
  /// Name of the executable.
  public let name: String
  /// One line of help.
  public let summary: String
  /// The subcommands, in the order `--help` lists them.
  public let commands: [Command]

  /// A program.
  public init(_ name: String, _ summary: String, commands: [Command]) {
    self.name = name
    self.summary = summary
    self.commands = commands
  }

  /// Runs the subcommand the process was started with and leaves with its status.
  public func main() -> Never {
    // A peer or a pipe that goes away is told by `write`'s error, not by a signal.
    signal(SIGPIPE, SIG_IGN)
    exit(
      run(
        CommandLine.arguments.dropFirst(),
        environment: { name in
          // SAFETY: getenv's text is copied at once; nothing here writes the environment.
          unsafe getenv(name).map { unsafe String(cString: $0) }
        }
      ).rawValue
    )
  }

  /// Runs the subcommand named by the first word.
  public func run(
    _ words: some Sequence<String>,
    environment: (String) -> String?
  ) -> ExitCode {
    let isColourAllowed = (environment("NO_COLOR") ?? "").isEmpty
    let console = Console(isColourAllowed: isColourAllowed)
    let words = Array(words)
    guard let first = words.first else {
      console.note(help)
      return .usage
    }
    if ["--help", "-h", "help"].contains(first) {
      console.write(help)
      return .ok
    }
    guard let command = commands.first(where: { $0.name == first }) else {
      let hint = suggestion(for: first, among: commands.map(\.name))
      console.note("\(name): unknown command \"\(first)\"\(hint)\n\n\(help)")
      return .usage
    }
    do {
      let arguments = try Arguments(words.dropFirst(), for: command)
      if arguments.isSet("help") {
        console.write(command.help(program: name))
        return .ok
      }
      guard let format = Console.Format(rawValue: arguments.value("format") ?? "text") else {
        throw CommandFailure.usage("--format is text or json")
      }
      return try command.body(arguments, Console(format: format, isColourAllowed: isColourAllowed))
    } catch let failure as CommandFailure {
      console.note("\(name) \(command.name): \(failure.description)")
      if failure.code == .usage { console.note("see \(name) \(command.name) --help") }
      return failure.code
    } catch {
      console.note("\(name) \(command.name): \(error)")
      return .failed
    }
  }

  private var help: String {
    """
    usage: \(name) COMMAND [options]

    \(summary)

    \(columns(commands.map { ($0.name, $0.summary) }))
    \(name) COMMAND --help says more about a command.
    """
  }
}
