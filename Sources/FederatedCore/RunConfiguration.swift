// Apache-2.0.
public import Codecs

/// A run as its file describes it, checked once, with every default filled in.
///
/// Keys that nobody reads are refused by name. Paths are those of whoever reads them: the server
/// resolves them against the run file when it is submitted, a client brings its own model and data.
public struct RunConfiguration: Sendable, Equatable {
  /// What people call the run.
  public let name: String
  /// Folder of the base model.
  public let model: String
  /// What the model is tuned for.
  public let task: ModelTask
  /// The algorithm's own settings; `AlgorithmCatalog` checks them.
  public let algorithm: AlgorithmSection
  /// Glob patterns of the parameters that train.
  public let trainable: [String]
  /// Which parts learn, adapters among them, as `UpdateScheme` reads it; nil where `trainable` says it.
  public let scheme: String?
  /// How everybody holds matrices that do not train: a word of `frozenWords`.
  public let frozen: String
  /// How texts become batches.
  public let data: DataSection
  /// Aggregations of the run.
  public let rounds: Int
  /// Who trains when.
  public let schedule: ScheduleSection
  /// Held-out data, where the run has some.
  public let evaluation: EvaluationSection?
  /// Source of all randomness.
  public let seed: UInt64
  /// Source of the initial weights of a new head.
  public let headSeed: UInt64
  /// What only a simulation reads.
  public let simulation: SimulationSection?

  /// The most rounds a run may have: a round is an address of random numbers, 24 bits wide.
  public static let maximumRounds = 1 << 24 - 1
  /// The most clients of a run.
  public static let maximumClients = 1 << 20

  /// What `frozen` may be: as the checkpoint has them, in two bytes an element, in one, or at each
  /// device as its memory allows.
  public static let frozenWords = ["stored", "bf16", "int8", "device"]

  static let keys = [
    "name", "model", "task", "algorithm", "trainable", "scheme", "frozen", "data", "rounds",
    "schedule",
    "evaluation",
    "seed", "head_seed", "simulation",
  ]

  /// Reads a run file.
  ///
  /// - Throws: `FederationError.configuration` with the path of what is wrong and what to write.
  public init(_ json: JSONValue) throws(FederationError) {
    let file = try ConfigurationSection(json, path: "", known: Self.keys)
    name = try file.text("name", standard: "run")
    model = try file.text("model")
    task = try Self.task(file)
    algorithm = try AlgorithmSection(file)
    trainable = try file.texts("trainable", standard: ["*"])
    scheme = file.has("scheme") ? try file.text("scheme") : nil
    guard scheme == nil || !file.has("trainable") else {
      throw .configuration(path: "scheme", advice: "says what trains; leave out trainable")
    }
    frozen = try file.word("frozen", of: Self.frozenWords)
    data = try DataSection(file.section("data", known: DataSection.keys))
    rounds = try file.integer("rounds", in: 1...Self.maximumRounds)
    schedule = try ScheduleSection(file, steps: algorithm.steps)
    evaluation =
      file.has("evaluation")
      ? try EvaluationSection(file.section("evaluation", known: EvaluationSection.keys)) : nil
    seed = UInt64(try file.integer("seed", in: 0...Int.max, standard: 0))
    headSeed = UInt64(try file.integer("head_seed", in: 0...Int.max, standard: 0))
    simulation =
      file.has("simulation")
      ? try SimulationSection(file.section("simulation", known: SimulationSection.keys)) : nil
  }

  /// Reads the bytes of a run file in JSON5.
  ///
  /// - Throws: `FederationError.configuration`; a fault of the grammar names line and column.
  public init(json5 bytes: [UInt8]) throws(FederationError) {
    try self.init(Self.syntax(json5: bytes))
  }

  /// A run file as it is written, before anything is checked or filled in.
  ///
  /// - Throws: `FederationError.configuration` with line and column.
  public static func syntax(json5 bytes: [UInt8]) throws(FederationError) -> JSONValue {
    do throws(JSONError) {
      return try JSONValue.parse(
        bytes,
        dialect: .json5,
        limits: JSONLimits(bytes: Self.maximumBytes, depth: 16),
        uniqueKeys: true
      )
    } catch {
      throw .configuration(path: "run file", advice: "\(error)")
    }
  }

  /// Bytes of a run file at most.
  public static let maximumBytes = 1 << 20

  /// Philox key of the run: 64 bits of SHA-256 of the seed.
  public var runKey: UInt64 {
    var writer = ByteWriter()
    writer.write(string: "samara run key")
    writer.write(seed)
    return Digest.sha256(of: writer.bytes).bytes.prefix(8).reversed()
      .reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Names the configuration.
  public var digest: Digest { Digest.sha256(of: encoded) }

  private static func task(_ file: ConfigurationSection) throws(FederationError) -> ModelTask {
    let kinds = ["language-modeling", "classification"]
    if file.isText("task") {
      guard try file.word("task", of: kinds) == kinds[0] else {
        throw .configuration(
          path: "task",
          advice: "write {kind: \"classification\", labels: [\"…\", …]}"
        )
      }
      return .languageModeling
    }
    guard file.has("task") else { return .languageModeling }
    let section = try file.section("task", known: ["kind", "labels"])
    if try section.word("kind", of: kinds) == kinds[0] { return .languageModeling }
    let labels = try section.texts("labels")
    guard labels.count >= 2, Set(labels).count == labels.count else {
      throw .configuration(path: "task.labels", advice: "two or more labels, each once")
    }
    return .classification(labels: labels)
  }
}
