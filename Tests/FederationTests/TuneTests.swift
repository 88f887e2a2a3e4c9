// Apache-2.0.
import Glibc
import ModelFiles
import Testing

/// `fedsim tune` and `compare` on a task of two methods.
@Suite(.timeLimit(.minutes(5))) struct TuneTests {
  private static func task(_ tiny: borrowing TinyModel) -> String {
    tiny.write(
      "task.json5",
      """
      {
        name: "two methods",
        run: {
          model: "model", rounds: 4, data: { max_length: 40, batch_size: 2 }, trainable: ["*"],
          algorithm: { name: "fedavg", steps: 4, learning_rate: 0.001 },
          evaluation: { data: "held-out.jsonl" },
          simulation: { clients: 3, data: "together.jsonl", partition: { kind: "iid" } },
        },
        methods: [
          { name: "rounds", schedule: { clients: 3 } },
          { name: "one by one", schedule: { policy: "fedasync", clients: 3 } },
        ],
      }
      """
    )
  }

  @Test func `the rate that reaches the target comes first, one that does not is a miss`() throws {
    let tiny = try TinyModel(clients: 3)
    let (task, log) = (Self.task(tiny), "\(tiny.path)/log")
    func words() throws -> String {
      String(decoding: try ModelFolder.bytes(log, limit: 1 << 24), as: UTF8.self)
    }
    // Any loss is below a thousand, and none below zero.
    let call = [
      "tune", task, "--only", "rounds", "--seeds", "1,2", "--vary",
      "algorithm.learning_rate=0.001,0.05", "--target", "1000",
    ]
    let status = try ServerProcess.run("fedsim", call, log: log)
    let said = try words()
    #expect(status == 0 && said.contains("0 of 2 missed"), "\(said)")
    let never = call.dropLast() + ["0"]
    #expect(try ServerProcess.run("fedsim", Array(never), log: log) == 0)
    #expect(try words().contains("- s, 2 of 2 missed"))
    // Two methods, and none named.
    let both = call.filter { $0 != "--only" && $0 != "rounds" }
    #expect(try ServerProcess.run("fedsim", both, log: log) == 4)
    #expect(try words().contains("rounds, one by one"))

    let page = "\(tiny.path)/page.html"
    #expect(try ServerProcess.run("fedsim", ["compare", task, "--out", page], log: log) == 0)
    let html = String(decoding: try ModelFolder.bytes(page, limit: 1 << 24), as: UTF8.self)
    #expect(html.contains("Work over time: one by one"))
  }
}
