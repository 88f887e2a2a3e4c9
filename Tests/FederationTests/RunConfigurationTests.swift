// Apache-2.0.
import Codecs
import FederatedCore
import Testing

@Suite struct RunConfigurationTests {
  static let smallest = """
    { model: "m", rounds: 3, algorithm: { name: "fedkseed" }, schedule: { clients: 4 } }
    """

  static let full = """
    {
      // A run with everything.
      name: "full", model: "models/tiny",
      task: { kind: "classification", labels: ["a", "b"] },
      algorithm: { name: "fedkseed", seeds: 64, learning_rate: 1e-3, steps: 20 },
      trainable: ["head.*", "*.bias"], frozen: "int8",
      data: { format: "jsonl", max_length: 64, batch_size: 2, template: "chatml" },
      rounds: 5,
      schedule: {
        policy: "synchronous", clients: 4, over_selection: 1.25, minimum: 2, start_clients: 3,
        deadline: "5m",
      },
      evaluation: { data: "held-out.jsonl", every: 2, limit: 100 },
      seed: 7, head_seed: 8,
      simulation: {
        clients: 100, data: "/data/all.jsonl", partition: { kind: "dirichlet", alpha: 0.5 },
        workers: 2, devices: { step_seconds: 0.2, speeds: "lognormal", dropout: 0.1 },
      },
    }
    """

  static func read(_ text: String) throws -> RunConfiguration {
    try RunConfiguration(json5: Array(text.utf8))
  }

  @Test func `what is not said has its default`() throws {
    let run = try Self.read(Self.smallest)
    #expect(run.task == .languageModeling)
    #expect(run.trainable == ["*"])
    #expect(run.frozen == "stored")
    #expect(run.algorithm.steps == 200)
    #expect(run.schedule.minimum == 4)
    #expect(run.schedule.startClients == 4)
    #expect(run.schedule.deadline == .seconds(3600))
    #expect(run.data.maximumLength == 256)
    #expect(run.evaluation == nil)
    #expect(run.simulation == nil)
  }

  @Test func `a scheme says what trains, and nothing else does`() throws {
    let text = """
      { model: "m", scheme: "lora:rank=8,last=2+head", rounds: 1, algorithm: { name: "fedavg" },
        schedule: { clients: 1 } }
      """
    let run = try Self.read(text)
    #expect(run.scheme == "lora:rank=8,last=2+head")
    #expect(try RunConfiguration(decoding: run.encoded) == run)
    #expect(throws: FederationError.self) {
      try Self.read(text.replacing("rounds:", with: "trainable: [\"*\"], rounds:"))
    }
  }

  @Test func `every key is read`() throws {
    let run = try Self.read(Self.full)
    #expect(run.task == .classification(labels: ["a", "b"]))
    #expect(run.algorithm.json["seeds"] == .integer(64))
    #expect(run.algorithm.steps == 20)
    #expect(run.schedule.deadline == .seconds(300))
    #expect(run.schedule.overSelection == 1.25)
    #expect(run.evaluation?.every == 2)
    #expect(run.seed == 7)
    #expect(run.headSeed == 8)
    #expect(run.frozen == "int8")
    #expect(run.simulation?.partition == "dirichlet")
    #expect(run.simulation?.alpha == 0.5)
    #expect(run.simulation?.devices.speeds == .lognormal)
    #expect(run.simulation?.devices.spread == 0.5)
    #expect(run.simulation?.devices.dropout == 0.1)
  }

  @Test(arguments: [smallest, full])
  func `canonical bytes lead back to the same run`(text: String) throws {
    let run = try Self.read(text)
    let again = try RunConfiguration(decoding: run.encoded)
    #expect(again == run)
    #expect(again.encoded == run.encoded)
    #expect(again.digest == run.digest)
  }

  @Test(arguments: ["3601000ms", "1ms", "999999999999ms", "277777h", "4.035", "0.001", "1e9"])
  func `a length of time keeps every millisecond in canonical bytes`(deadline: String) throws {
    let quoted = deadline.last?.isNumber == true ? deadline : "\"\(deadline)\""
    let run = try Self.read(
      "{ model: \"m\", rounds: 1, algorithm: { name: \"fedkseed\" },"
        + " schedule: { clients: 1, deadline: \(quoted) } }"
    )
    #expect(try RunConfiguration(decoding: run.encoded) == run)
  }

  @Test func `the key of a run follows from its seed alone`() throws {
    let one = try Self.read(Self.smallest)
    let two = try Self.read(Self.smallest.replacing("rounds: 3", with: "rounds: 9"))
    let other = try Self.read(Self.smallest.replacing("rounds: 3", with: "rounds: 3, seed: 1"))
    #expect(one.runKey == two.runKey)
    #expect(one.runKey != other.runKey)
  }

  @Test func `relative paths are placed below the folder of the run file`() throws {
    let run = try Self.read(Self.full).resolved(against: "/runs")
    #expect(run.model == "/runs/models/tiny")
    #expect(run.evaluation?.data == "/runs/held-out.jsonl")
    #expect(run.simulation?.data == "/data/all.jsonl")
  }

  @Test(arguments: [
    ("{ modle: \"m\" }", "modle", "did you mean model?"),
    ("{ model: \"m\", algorithm: { name: \"x\" }, schedule: { clients: 4 } }", "rounds", "missing"),
    ("{ model: \"m\", data: { batch: 1 } }", "algorithm.name", "missing"),
    (
      smallest.replacing("clients: 4", with: "clients: 4, deadlin: 3"), "schedule.deadlin",
      "deadline"
    ),
    (smallest.replacing("clients: 4", with: "clients: 0"), "schedule.clients", "from 1"),
    (smallest.replacing("clients: 4", with: "clients: 4, minimum: 5"), "schedule.minimum", "to 4"),
    (
      smallest.replacing("clients: 4", with: "clients: 4, deadline: \"5x\""), "schedule.deadline",
      "5m"
    ),
    (smallest.replacing("rounds: 3", with: "rounds: 2.5"), "rounds", "integer"),
    (smallest.replacing("rounds: 3", with: "rounds: 3, task: \"vision\""), "task", "none of"),
    (smallest.replacing("rounds: 3", with: "rounds: 3, frozen: \"int4\""), "frozen", "int8"),
    (
      smallest.replacing(
        "rounds: 3",
        with: "rounds: 3, task: {kind:'classification', labels:['a']}"
      ),
      "task.labels", "two or more"
    ),
    (smallest.replacing("rounds: 3", with: "rounds: 3, rounds: 4"), "run file", "rounds"),
    (smallest.replacing("rounds: 3", with: "rounds: 3, seed: -1"), "seed", "0"),
    ("[]", "run file", "object"),
    ("{", "run file", "line 1"),
  ])
  func `a fault is named by its path and its remedy`(text: String, path: String, advice: String) {
    do {
      _ = try Self.read(text)
      Issue.record("accepted \(text)")
    } catch let error as FederationError {
      guard case .configuration(let found, let words) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(found == path)
      #expect(words.contains(advice), "\(words)")
    } catch {
      Issue.record("\(error)")
    }
  }

  @Test func `lengths of time read as people write them`() {
    #expect(Duration(text: "250ms") == .milliseconds(250))
    #expect(Duration(text: "90s") == .seconds(90))
    #expect(Duration(text: "2h") == .seconds(7200))
    for text in ["", "5", "s", "-5s", "5 s", "5d", "99999999999999999999s", "٣s"] {
      #expect(Duration(text: text) == nil, "\(text)")
    }
  }
}
