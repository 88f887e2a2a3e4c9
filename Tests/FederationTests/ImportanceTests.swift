// Apache-2.0.
import Codecs
import FederatedCore
import FineTuning
import Testing

@Suite struct ImportanceTests {
  /// A run file on the tiny model; `importance` and `scheme` as written.
  private static func file(
    _ tiny: borrowing TinyModel,
    _ importance: String,
    scheme: String = "lora:rank=2,last=1"
  ) -> String {
    tiny.write(
      "run.json5",
      """
      {
        name: "important", model: "model", rounds: 1, seed: 3, scheme: "\(scheme)",
        algorithm: { name: "fedpipe", steps: 2 },
        data: { max_length: 40, batch_size: 3 }, schedule: { clients: 1 },
        \(importance)
      }
      """
    )
  }

  @Test func `matrices are chosen once, the same ones again, and stand in what is submitted`()
    throws
  {
    let tiny = try TinyModel(clients: 2)
    let path = Self.file(
      tiny,
      "importance: { data: \"client-1.jsonl\", weights: 2, steps: 4, batch_size: 2 }",
      scheme: "head+lora:rank=2,alpha=4,last=1"
    )
    var notes: [String] = []
    let run = try RunFile.read(path) { notes.append($0) }
    #expect(notes.count == 7 && notes.count { $0.hasSuffix("adapter") } == 2)
    let again = try RunFile.read(path)
    #expect(again == run)
    let scheme = try #require(run.scheme)
    #expect(scheme.hasPrefix("head+lora:rank=2,alpha=4,last=1,targets="))
    let model = try LoadedModel(ModelRequest(run))
    #expect(model.blocks.count { $0.name.hasSuffix(".lora_A.weight") } == 2)
    for note in notes.prefix(2) {
      let module = note.split(separator: " ")[2].dropLast()
      #expect(scheme.contains(module), "\(note)")
    }
    // What clients are offered is read without the file.
    #expect(try RunConfiguration(decoding: run.encoded) == run)
  }

  @Test(arguments: [
    "importance: { data: \"client-0.jsonl\", weights: 8, steps: 2 }",
    "importance: { data: \"client-0.jsonl\", weights: 0 }",
    "importance: { data: \"client-0.jsonl\" }",
    "importance: { data: \"nowhere.jsonl\", weights: 1 }",
    "importance: { data: \"client-0.jsonl\", weights: 1, ranks: 2 }",
    "importance: { data: \"client-0.jsonl\", weights: 1, learning_rate: 2 }",
    "importance: 3",
  ])
  func `what cannot be measured is refused`(_ importance: String) throws {
    let tiny = try TinyModel(clients: 1)
    #expect(throws: (any Error).self) { try RunFile.read(Self.file(tiny, importance)) }
  }

  @Test func `a run without adapters has nothing to choose`() throws {
    let tiny = try TinyModel(clients: 1)
    let path = Self.file(
      tiny,
      "importance: { data: \"client-0.jsonl\", weights: 1 }",
      scheme: "head"
    )
    #expect(throws: (any Error).self) { try RunFile.read(path) }
  }
}
