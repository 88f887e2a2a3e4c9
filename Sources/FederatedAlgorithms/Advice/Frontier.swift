// Apache-2.0.
public import Codecs

/// What methods reached for how many bytes, measured: `docs/frontier.json`.
public struct Frontier: Sendable, Equatable {
  /// One method on one task.
  public struct Method: Sendable, Equatable {
    /// What people call it.
    public let name: String
    /// The `algorithm` object of its run.
    public let algorithm: JSONValue
    /// Scalars it trains.
    public let parameters: Int
    /// Whether adapters train in place of the matrices.
    public let isAdapter: Bool
    /// Bytes of frames a client and round, to the server.
    public let up: Double
    /// Bytes of frames a client and round, from the server.
    public let down: Double
    /// Rounds of the run.
    public let rounds: Int
    /// Local steps of a task.
    public let steps: Int
    /// Metric of the versions that were evaluated, the base first; of several seeds the median.
    public let curve: [Point]
    /// The metric at the end under each seed.
    public let ends: [Double]

    /// A measured method.
    public init(
      name: String,
      algorithm: JSONValue,
      parameters: Int,
      isAdapter: Bool,
      up: Double,
      down: Double,
      rounds: Int,
      steps: Int,
      curve: [Point],
      ends: [Double] = []
    ) {
      self.name = name
      self.algorithm = algorithm
      self.parameters = parameters
      self.isAdapter = isAdapter
      self.up = up
      self.down = down
      self.rounds = rounds
      self.steps = steps
      self.curve = curve
      self.ends = ends
    }
  }

  /// A version's metric.
  public struct Point: Sendable, Equatable {
    /// Rounds until it.
    public let round: Int
    /// Held-out accuracy or loss.
    public let value: Double

    /// A point of a curve.
    public init(round: Int, value: Double) {
      self.round = round
      self.value = value
    }
  }

  /// A task with all its methods.
  public struct Task: Sendable, Equatable {
    /// What people call it.
    public let name: String
    /// Whether the metric is accuracy, else loss.
    public let isAccuracy: Bool
    /// Methods in the order they were run.
    public let methods: [Method]

    /// A task.
    public init(name: String, isAccuracy: Bool, methods: [Method]) {
      self.name = name
      self.isAccuracy = isAccuracy
      self.methods = methods
    }
  }

  /// The tasks.
  public let tasks: [Task]

  /// A table.
  public init(tasks: [Task]) { self.tasks = tasks }

  /// The table of this build.
  ///
  /// - Throws: `JSONError` where it is damaged, which tests exclude.
  public static func measured() throws -> Frontier {
    try Frontier(JSONValue.parse(Array(json.utf8)))
  }

  /// Reads the form of `jsonValue`.
  public init(_ value: JSONValue) throws(JSONError) {
    tasks = try JSONField(value, path: "")["tasks"].items().map { task throws(JSONError) in
      Task(
        name: try task["name"].string(),
        isAccuracy: try task["metric"].string() == "accuracy",
        methods: try task["methods"].items().map { method throws(JSONError) in
          try Method(method)
        }
      )
    }
  }

  /// The table as JSON, a method a line, so that a change shows.
  public var text: String {
    let tasks = tasks.map { task in
      let head: String = String(
        JSONValue.object([
          .init("name", .string(task.name)),
          .init("metric", .string(task.isAccuracy ? "accuracy" : "loss")),
        ]).serialized().dropLast()
      )
      let methods = task.methods.map { $0.json.serialized() }
      return head + ",\"methods\":[\n" + methods.joined(separator: ",\n") + "\n]}"
    }
    return "{\"tasks\":[\n" + tasks.joined(separator: ",\n") + "\n]}\n"
  }

  /// The table as the source that carries it.
  public var source: String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.isEmpty ? "" : "    \($0)" }
    return """
      // Apache-2.0.

      extension Frontier {
        /// `docs/frontier.json`, which `fedsim frontier` writes; a test holds the two together.
        static let json = #\"\"\"
      \(lines.joined(separator: "\n"))
          \"\"\"#
      }

      """
  }
}

extension Frontier.Method {
  /// One method under several seeds: mean bytes, and of every point of the curve the median.
  public init?(median runs: [Frontier.Method]) {
    guard let first = runs.first else { return nil }
    func middle(_ values: [Double]) -> Double {
      let sorted = values.sorted()
      return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }
    func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(runs.count) }
    self.init(
      name: first.name,
      algorithm: first.algorithm,
      parameters: first.parameters,
      isAdapter: first.isAdapter,
      up: mean(runs.map(\.up)),
      down: mean(runs.map(\.down)),
      rounds: first.rounds,
      steps: first.steps,
      curve: first.curve.map { point in
        let values = runs.compactMap { run in run.curve.first { $0.round == point.round }?.value }
        return Frontier.Point(round: point.round, value: middle(values))
      },
      ends: runs.flatMap(\.ends)
    )
  }

  /// Whether it needs gradients; the others measure losses alone.
  public var needsGradients: Bool {
    guard case .string(let name)? = algorithm["name"] else { return true }
    return !["onebyte", "fedkseed", "shared-directions"].contains(name)
  }

  /// Whether its bytes grow with what trains.
  public var growsWithModel: Bool {
    guard needsGradients, case .string(let name)? = algorithm["name"] else { return false }
    return name != "ferret"
  }

  fileprivate init(_ field: JSONField) throws(JSONError) {
    guard let algorithm = field["algorithm"].value else {
      throw .unexpected(path: "algorithm", wanted: "an object")
    }
    self.algorithm = algorithm
    name = try field["name"].string()
    parameters = try field["parameters"].integer(in: 1...Int.max)
    isAdapter = try field["adapter"].bool(default: false)
    up = try field["up"].number()
    down = try field["down"].number()
    rounds = try field["rounds"].integer(in: 1...Int.max)
    steps = try field["steps"].integer(in: 1...Int.max)
    curve = try field["curve"].items().map { point throws(JSONError) in
      let pair = try point.items()
      guard pair.count == 2 else { throw .unexpected(path: "curve", wanted: "pairs") }
      return Frontier.Point(
        round: try pair[0].integer(in: 0...Int.max),
        value: try pair[1].number()
      )
    }
    ends =
      field["ends"].value == nil
      ? [] : try field["ends"].items().map { end throws(JSONError) in try end.number() }
  }

  fileprivate var json: JSONValue {
    func short(_ value: Double) -> JSONValue { .number((value * 10000).rounded() / 10000) }
    let seeds: [JSONValue.Member] =
      ends.isEmpty ? [] : [.init("ends", .array(ends.map(short)))]
    return .object(
      [
        .init("name", .string(name)),
        .init("algorithm", algorithm),
        .init("parameters", .integer(Int64(parameters))),
        .init("adapter", .bool(isAdapter)),
        .init("up", .integer(Int64(up.rounded()))),
        .init("down", .integer(Int64(down.rounded()))),
        .init("rounds", .integer(Int64(rounds))),
        .init("steps", .integer(Int64(steps))),
        .init(
          "curve",
          .array(
            curve.map { point in
              .array([
                .integer(Int64(point.round)), short(point.value),
              ])
            }
          )
        ),
      ] + seeds
    )
  }
}
