// Apache-2.0.
public import Codecs

/// The `algorithm` object: read here only where the loop around an algorithm needs it.
public struct AlgorithmSection: Sendable, Equatable {
  /// The object as `AlgorithmCatalog.start` takes it.
  public let json: JSONValue
  /// Name in the catalog.
  public let name: String
  /// Local steps of a task.
  public let steps: Int

  init(_ file: ConfigurationSection) throws(FederationError) {
    let section = try file.section("algorithm", known: nil)
    name = try section.text("name")
    steps = try section.integer("steps", in: 1...4096, standard: 200)
    json = section.json
  }
}

/// How texts become batches, the same at every client.
public struct DataSection: Sendable, Equatable {
  /// Format of the files, `auto` to recognise it.
  public let format: String
  /// Tokens of an example at most.
  public let maximumLength: Int
  /// Examples of a batch.
  public let batchSize: Int
  /// Chat template, `auto` to choose by the model's special tokens.
  public let template: String

  static let keys = ["format", "max_length", "batch_size", "template"]

  init(_ section: ConfigurationSection) throws(FederationError) {
    format = try section.text("format", standard: "auto")
    maximumLength = try section.integer("max_length", in: 2...(1 << 17), standard: 256)
    batchSize = try section.integer("batch_size", in: 1...4096, standard: 8)
    template = try section.text("template", standard: "auto")
  }
}

/// Who trains when.
public struct ScheduleSection: Sendable, Equatable {
  /// Name in the scheduler catalog.
  public let policy: String
  /// Contributions that close a round, k.
  public let clients: Int
  /// Clients asked for each contribution wanted, at least 1.
  public let overSelection: Double
  /// Contributions a round may close with when its deadline passes.
  public let minimum: Int
  /// Clients that must be ready before the first round.
  public let startClients: Int
  /// How long a round waits.
  public let deadline: Duration
  /// Idle clients that stay connected, others are sent away until later; nil: all stay.
  public let surplus: Int?
  /// What policies without rounds read, nil for the synchronous one.
  public let asynchrony: AsynchronySection?

  static let keys = ["policy", "clients", "over_selection", "minimum", "start_clients", "deadline"]
  /// Keys of the policy with rounds alone.
  static let roundKeys = ["surplus"]
  /// The one policy with rounds.
  static let synchronous = "synchronous"

  init(_ file: ConfigurationSection, steps: Int) throws(FederationError) {
    let open = try file.section("schedule", known: nil)
    policy = try open.text("policy", standard: Self.synchronous)
    let isSynchronous = policy == Self.synchronous
    let section = try file.section(
      "schedule",
      known: Self.keys + (isSynchronous ? Self.roundKeys : AsynchronySection.keys)
    )
    clients = try section.integer("clients", in: 1...RunConfiguration.maximumClients)
    overSelection = try section.number("over_selection", in: 1...100, standard: 1)
    minimum = try section.integer("minimum", in: 1...clients, standard: clients)
    startClients = try section.integer(
      "start_clients",
      in: minimum...RunConfiguration.maximumClients,
      standard: clients
    )
    deadline = try section.duration("deadline", standard: .seconds(3600))
    surplus =
      isSynchronous && section.has("surplus")
      ? try section.integer("surplus", in: 0...RunConfiguration.maximumClients) : nil
    asynchrony =
      isSynchronous ? nil : try AsynchronySection(section, steps: steps, clients: clients)
  }
}

/// Held-out data the server evaluates versions on.
public struct EvaluationSection: Sendable, Equatable {
  /// File or folder.
  public let data: String
  /// Rounds from one evaluation to the next; the first and the last version are always evaluated.
  public let every: Int
  /// Examples used at most.
  public let limit: Int

  static let keys = ["data", "every", "limit"]

  init(_ section: ConfigurationSection) throws(FederationError) {
    data = try section.text("data")
    every = try section.integer("every", in: 1...RunConfiguration.maximumRounds, standard: 1)
    limit = try section.integer("limit", in: 1...(1 << 30), standard: 1 << 30)
  }
}

/// What only a simulation reads.
public struct SimulationSection: Sendable, Equatable {
  /// Clients simulated.
  public let clients: Int
  /// File or folder whose examples the clients share out.
  public let data: String
  /// Name of the partition.
  public let partition: String
  /// Concentration of the Dirichlet partition.
  public let alpha: Double
  /// Field that a partition by field or by Dirichlet goes by.
  public let field: String
  /// Shards of each client in the partition by shards.
  public let shardsPerClient: Int
  /// Exponent of the Zipf partition.
  public let exponent: Double
  /// Concentration of the sizes in the dual Dirichlet partition.
  public let sizeAlpha: Double
  /// Groups a client holds at least in the partition by classes.
  public let leastClasses: Int
  /// Groups a client holds at most in the partition by classes.
  public let mostClasses: Int
  /// Examples of each client where they are samples.
  public let samples: Int
  /// Threads that train clients; the result does not depend on it.
  public let workers: Int
  /// How fast, connected and reliable they are.
  public let devices: DeviceSection
  /// Virtual seconds after which the simulation ends, whatever its rounds; 0 for no end.
  public let seconds: Double

  static let keys = ["clients", "data", "partition", "workers", "devices", "seconds"]
  static let partitionKeys = ["kind", "alpha", "field", "shards_per_client"]
  /// Partitions, each with the keys that it alone reads.
  static let partitions: [(kind: String, keys: [String])] = [
    ("iid", []), ("dirichlet", []), ("field", []), ("shards", []), ("zipf", ["exponent"]),
    ("dual-dirichlet", ["size_alpha"]), ("classes", ["least", "most"]), ("samples", ["examples"]),
  ]

  init(_ section: ConfigurationSection) throws(FederationError) {
    clients = try section.integer("clients", in: 1...RunConfiguration.maximumClients)
    data = try section.text("data")
    let open = try section.section("partition", known: nil)
    let kind = try open.word("kind", of: Self.partitions.map(\.kind))
    partition = kind
    let own = Self.partitions.first { $0.kind == kind }?.keys ?? []
    let parts = try section.section("partition", known: Self.partitionKeys + own)
    alpha = try parts.number("alpha", in: 1e-3...1e6, standard: 1)
    field = try parts.text("field", standard: "label")
    shardsPerClient = try parts.integer("shards_per_client", in: 1...(1 << 16), standard: 2)
    exponent = try parts.number("exponent", in: 0...16, standard: 1)
    sizeAlpha = try parts.number("size_alpha", in: 1e-3...1e6, standard: 1)
    leastClasses = try parts.integer("least", in: 1...(1 << 16), standard: 3)
    mostClasses = try parts.integer(
      "most",
      in: leastClasses...(1 << 16),
      standard: max(5, leastClasses)
    )
    samples = try parts.integer("examples", in: 1...(1 << 24), standard: 16)
    workers = try section.integer("workers", in: 1...1024, standard: 1)
    devices = try DeviceSection(section.section("devices", known: DeviceSection.keys))
    seconds = try section.number("seconds", in: 0...1e12, standard: 0)
  }
}
