// Apache-2.0.
import CommandLineTool

/// The benchmarks: one file and one line each.
let benchmarks: [Command] = [
  gemmBenchmark,
  replayBenchmark,
  codecBenchmark,
  denseBenchmark,
  ledgerBenchmark,
  tlsBenchmark,
  federationBenchmark,
  transferBenchmark,
  forwardBenchmark,
  stepBenchmark,
  trainBenchmark,
  simulationBenchmark,
]

@main
enum Main {
  static func main() {
    Program(
      "fedbench",
      "Measures what Samara reaches against the physical floor, in one run.",
      commands: benchmarks
    ).main()
  }
}
