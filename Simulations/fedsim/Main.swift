// Apache-2.0.
import CommandLineTool

/// The commands: one file and one line each.
let commands: [Command] = [
  runCommand,
  compareCommand,
  tuneCommand,
  frontierCommand,
  scheduleCommand,
]

@main
enum Main {
  static func main() {
    Program(
      "fedsim",
      "Runs a whole federation in one process, with the programs' own coordinator and clients.",
      commands: commands
    ).main()
  }
}
