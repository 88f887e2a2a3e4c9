// Apache-2.0.
import Glibc
import ModelFiles
import Testing

/// A simulation that is killed again and again, at moments that a seed chooses.
@Suite(.timeLimit(.minutes(10))) struct SimulationKillTests {
  private static let schedules = [
    "schedule: { clients: 4, start_clients: 6 }",
    "schedule: { policy: \"fedcompass\", clients: 6, q_min: 2, q_max: 8 }",
  ]

  /// A run of six clients on a model of a few hundred weights, as a file.
  private static func runFile(_ tiny: borrowing TinyModel, _ schedule: String) -> String {
    tiny.write(
      "run.json5",
      """
      {
        name: "killed", model: "model", rounds: 60, seed: 3,
        algorithm: { name: "fedkseed", seeds: 64, steps: 4, learning_rate: 0.001 },
        data: { max_length: 40, batch_size: 2 }, trainable: ["*"],
        \(schedule),
        evaluation: { data: "held-out.jsonl", every: 20 },
        simulation: { clients: 6, data: "together.jsonl", partition: { kind: "zipf" },
          devices: { speeds: "exponential", noise: 0.05, dropout: 0.02, latency: 0.01 } },
      }
      """
    )
  }

  @Test(arguments: schedules)
  func `workers, kills and resumptions change no byte of the events`(schedule: String) async throws
  {
    let tiny = try TinyModel(clients: 6)
    let run = Self.runFile(tiny, schedule)
    let path = tiny.path
    func place(_ name: String) -> String { "\(path)/\(name)" }
    let log = place("log")
    for workers in [1, 2, 4] {
      let call = [
        "run", run, "--workers", "\(workers)", "--events", place("events-\(workers)"),
      ]
      let status = try ServerProcess.run("fedsim", call, log: log)
      let words = String(decoding: try ModelFolder.bytes(log, limit: 1 << 24), as: UTF8.self)
      #expect(status == 0, "\(words)")
    }
    let expected = try ModelFolder.bytes(place("events-1"), limit: 1 << 24)
    #expect(expected.count { $0 == UInt8(ascii: "\n") } > 300)
    for workers in [2, 4] {
      #expect(try ModelFolder.bytes(place("events-\(workers)"), limit: 1 << 24) == expected)
    }

    var moments = SplitMix(state: UInt64(KillTests.seed))
    let words = [
      "run", run, "--workers", "2", "--events", place("events"), "--checkpoint",
      place("checkpoint"), "--resume",
    ]
    var kills = 0
    var status: Int32?
    while status == nil {
      let process = try ServerProcess("fedsim", words, log: log)
      if kills < KillTests.kills {
        kills += 1
        // The moment is the point: from before the first round to the last checkpoint.
        try await Task.sleep(for: .milliseconds(Int(moments.next() % 150)))
        status = process.kill(SIGKILL)
      } else {
        status = process.kill(0)
      }
    }
    #expect(status == 0)
    #expect(try ModelFolder.bytes(place("events"), limit: 1 << 24) == expected)
  }
}
