// Apache-2.0.
import CommandLineTool

/// The commands: one line each.
let commands: [Command] = [
  initCommand,
  runCommand,
  enrollCommand,
  listCommand,
  revokeCommand,
  submitCommand,
  statusCommand,
  watchCommand,
  stopCommand,
  exportCommand,
  adviseCommand,
]

@main
enum Main {
  static func main() {
    Program(
      "fedserver",
      "Coordinates federated fine-tuning: integers come in, model versions come out.",
      commands: commands
    ).main()
  }
}
