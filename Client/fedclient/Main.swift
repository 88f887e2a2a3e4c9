// Apache-2.0.
import CommandLineTool

/// The commands: one file and one line each.
let commands: [Command] = [
  joinCommand,
  runCommand,
  doctorCommand,
  evalCommand,
  benchCommand,
  tokenizeCommand,
  forwardCommand,
  gradientsCommand,
  trainCommand,
  planCommand,
  chooseCommand,
  generateCommand,
]

@main
enum Main {
  static func main() {
    Program(
      "fedclient",
      "Takes part in federated fine-tuning with data that stays on this machine.",
      commands: commands
    ).main()
  }
}
