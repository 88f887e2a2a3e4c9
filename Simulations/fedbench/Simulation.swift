// Apache-2.0.
import CommandLineTool
import Coordination
import FederatedCore
import SimulatedFederation
import Telemetry

/// How many clients a second a simulation of small models trains.
let simulationBenchmark = Command(
  "simulation",
  "Trainings a second of simulated clients, and the memory of the process.",
  options: [
    .value("clients", "N", "Clients, all of them in every round (1000)."),
    .value("rounds", "N", "Rounds (20)."),
    .value("workers", "N", "Threads that train clients (4)."),
    .value("root", "DIR", "The repository (.)."),
  ],
  notes: """
    The digits of Simulations/Data by FedAvg: each client takes 10 steps of SGD on its own 16 images. A \
    training is a task from its order to its place in the sum, with everything that a real federation \
    does in between but TLS and disk; the last version is evaluated. Loading is not counted.
    """
) { arguments, console in
  let clients = try arguments.integer("clients", in: 1...(1 << 20)) ?? 1000
  let rounds = try arguments.integer("rounds", in: 1...1_000_000) ?? 20
  let workers = try arguments.integer("workers", in: 1...1024) ?? 4
  let root = arguments.value("root") ?? "."
  for model in ["digits-logistic", "digits-mlp"] {
    let data = "\(root)/Simulations/Data/digits"
    let run = try RunConfiguration(
      json5: Array(
        """
        {
          name: "bench", model: "\(root)/Models/\(model)", seed: 1, rounds: \(rounds),
          task: {kind: "classification", labels: ["0","1","2","3","4","5","6","7","8","9"]},
          algorithm: {name: "fedavg", steps: 10, learning_rate: 0.1},
          data: {batch_size: 16}, schedule: {clients: \(clients)},
          evaluation: {data: "\(data)/test.safetensors", every: \(rounds)},
          simulation: {
            clients: \(clients), data: "\(data)/train.safetensors",
            partition: {kind: "samples", examples: 16},
          },
        }
        """.utf8
      )
    )
    ResidentMemory.resetPeak()
    let work = try SimulatedModel(run)
    let clock = ContinuousClock()
    let began = clock.now
    var federation = try SimulatedFederation(run, work: work, workers: workers)
    let outcome = try federation.run()
    let seconds = began.duration(to: clock.now).inSeconds
    let name = "\(model), \(clients) clients a round, \(workers) threads"
    ReportRow(name, Double(outcome.tasks) / seconds, "trainings/s").write(to: console)
    ReportRow(name, Double(ResidentMemory.peak()) / 1048576, "MiB").write(to: console)
    if let score = outcome.view.score?.score.accuracy {
      ReportRow("\(model), accuracy after \(rounds) rounds", score, "").write(to: console)
    }
  }
  return .ok
}
