// Apache-2.0.
import Codecs
import FederatedCore
import Glibc
import TestSupport

/// The golden Llama of 23,200 parameters with a tokenizer of single letters, and examples for
/// clients, written into a folder.
struct TinyModel: ~Copyable {
  private let folder = TemporaryFolder()
  /// Folder of the model.
  let model: String
  /// Each client's examples.
  let files: [String]
  /// All examples in one file; the field `client` says whose they are.
  let together: String
  /// Examples of no client.
  let heldOut: String

  /// A model, and `clients` clients with 6, 7, 8, … examples.
  init(clients: Int) throws {
    for name in ["config.json", "model.safetensors"] {
      _ = folder.write("model/\(name)", bytes: try Self.golden(name))
    }
    _ = folder.write("model/tokenizer.json", Self.tokenizer.serialized())
    model = "\(folder.path)/model"
    var all = ""
    var files: [String] = []
    for client in 0..<clients {
      let lines = Self.examples(of: client)
      files.append(folder.write("client-\(client).jsonl", lines))
      all += lines
    }
    self.files = files
    together = folder.write("together.jsonl", all)
    heldOut = folder.write("held-out.jsonl", Self.line(9, "9 says 81 and 12, then stops."))
  }

  var path: String { folder.path }

  /// Writes another file and returns its path.
  func write(_ name: String, _ text: String) -> String { folder.write(name, text) }

  /// Puts a copy of the first client's examples under another name.
  func copyExamples(to name: String) {
    _ = folder.write(name, Self.examples(of: 0))
  }

  /// A run of the model over `rounds` rounds; `policy` begins its schedule.
  func run(
    rounds: Int,
    clients: Int,
    policy: String = "",
    algorithm: String = "name: \"fedkseed\", seeds: 64, steps: 4, learning_rate: 1e-4",
    scheme: String? = nil,
    frozen: String = "stored",
    devices: String = ""
  ) throws -> RunConfiguration {
    let simulation = """
      { clients: \(clients), data: "\(together)", partition: { kind: "field", field: "client" },
        devices: { \(devices) } }
      """
    return try RunConfiguration(
      json5: Array(
        """
        {
          name: "tiny", model: "\(model)", rounds: \(rounds), seed: 3,
          \(scheme.map { "scheme: \"\($0)\"," } ?? "")
          algorithm: { \(algorithm) }, frozen: "\(frozen)",
          data: { max_length: 40, batch_size: 3 },
          schedule: { \(policy) clients: \(clients) },
          evaluation: { data: "\(heldOut)", every: 2 },
          simulation: \(simulation),
        }
        """.utf8
      )
    )
  }

  private static func examples(of client: Int) -> String {
    (0..<6 + client).map { row in
      line(client, "\(client) says \(row * row) and \(client * row + 3), then stops.")
    }.joined()
  }

  private static func line(_ client: Int, _ text: String) -> String {
    JSONValue.object([.init("text", .string(text)), .init("client", .string("client-\(client)"))])
      .serialized() + "\n"
  }

  /// Every printable letter of ASCII is a token; the space is written as in byte-level vocabularies.
  private static var tokenizer: JSONValue {
    let letters = ["<unk>", "Ġ"] + (33...126).map { String(UnicodeScalar(UInt8($0))) }
    let vocabulary = letters.enumerated().map { JSONValue.Member($1, .integer(Int64($0))) }
    return .object([
      .init("version", .string("1.0")),
      .init("added_tokens", .array([])),
      .init("normalizer", .null),
      .init(
        "pre_tokenizer",
        .object([.init("type", .string("ByteLevel")), .init("add_prefix_space", .bool(false))])
      ),
      .init("post_processor", .null),
      .init("decoder", .object([.init("type", .string("ByteLevel"))])),
      .init(
        "model",
        .object([
          .init("type", .string("BPE")), .init("unk_token", .string("<unk>")),
          .init("vocab", .object(vocabulary)), .init("merges", .array([])),
        ])
      ),
    ])
  }

  private static func golden(_ name: String) throws -> [UInt8] {
    let path = SourceTree.golden("logits/llama/\(name)")
    guard let file = unsafe fopen(path, "r") else { throw MissingGolden(path: path) }
    defer { unsafe fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    // SAFETY: fread writes at most the count it is given.
    let count = unsafe fread(&bytes, 1, bytes.count, file)
    return Array(bytes[..<count])
  }

  private struct MissingGolden: Error { let path: String }
}
