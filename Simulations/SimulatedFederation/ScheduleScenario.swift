// Apache-2.0.
public import Codecs
public import Coordination

/// A scenario for a schedule: clients with the times of their steps, and nothing left to chance.
public struct ScheduleScenario: Sendable {
  /// A client of a scenario.
  public struct Client: Sendable {
    /// Its name.
    public let id: String
    /// Time per local step of its task 0, 1, 2 …; the last one repeats.
    public let stepTimes: [Double]
    /// Added once a task.
    public let overhead: Double
    /// When it comes.
    public let joins: Double
    /// Tasks that ever come back; nil for all.
    public let returns: Int?
  }

  /// Name of the scenario.
  public let name: String
  /// Name of the rules.
  public let preset: String
  /// Numbers of the schedule.
  public let settings: CompassSettings
  /// Stops once so many versions are made.
  public let maximumAggregations: Int?
  /// Stops before the first event after this time.
  public let maximumTime: Double?
  /// The clients, in order.
  public let clients: [Client]

  /// Reads a scenario.
  ///
  /// - Parameter chosen: preset in place of the scenario's own.
  /// - Throws: `JSONError` with the path of what is wrong, `SimulationError` where it cannot be run.
  public init(_ json: JSONValue, preset chosen: String? = nil) throws {
    let file = JSONField(json, path: "scenario")
    name = try file["name"].string(default: "scenario")
    preset = try chosen ?? file["preset"].string(default: "fixed")
    let config = file["config"]
    let least = try Self.positive(config["q_min"])
    let most = try Self.positive(config["q_max"])
    guard least <= most else {
      throw SimulationError.configuration("config.q_min is above config.q_max")
    }
    clients = try file["clients"].items().map(Self.client)
    settings = CompassSettings(
      leastSteps: least,
      mostSteps: most,
      latestFactor: try Self.number(config, "lambda", in: 1...1e6, standard: 1.2),
      speedMomentum: try Self.number(config, "speed_momentum", in: 0...1, standard: 0.9),
      alpha: try Self.number(config, "alpha", in: 0...1e6, standard: 0.9),
      stalenessExponent: try Self.number(config, "a", in: 0...1e3, standard: 0.5),
      clientCount: try Self.optional(config["num_clients"]) ?? clients.count
    )
    maximumAggregations = try Self.optional(file["max_aggregations"])
    maximumTime = file["max_time"].isPresent ? try file["max_time"].number() : nil
    guard !clients.isEmpty, Set(clients.map(\.id)).count == clients.count else {
      throw SimulationError.configuration("clients: one or more, each with an id of its own")
    }
    guard maximumAggregations != nil || maximumTime != nil else {
      throw SimulationError.configuration("say when to stop: max_aggregations or max_time")
    }
    guard CompassRules.presets.contains(where: { $0.name == preset }) else {
      let names = CompassRules.presets.map(\.name).joined(separator: ", ")
      throw SimulationError.configuration("preset '\(preset)' is none of \(names)")
    }
  }

  /// The rules of the preset.
  var rules: CompassRules {
    CompassRules.presets.first { $0.name == preset }?.rules ?? .fixed
  }

  private static func client(_ field: JSONField) throws -> Client {
    let times = try field["step_time"].items().map { try $0.number() }
    guard !times.isEmpty, times.allSatisfy({ $0 > 0 && $0.isFinite }) else {
      throw SimulationError.configuration("\(field.path).step_time: positive numbers")
    }
    return Client(
      id: try field["id"].string(),
      stepTimes: times,
      overhead: try number(field, "overhead", in: 0...1e300, standard: 0),
      joins: try number(field, "joins", in: 0...1e300, standard: 0),
      returns: field["returns"].isPresent ? try field["returns"].integer(in: 0...(1 << 40)) : nil
    )
  }

  private static func positive(_ field: JSONField) throws -> Int {
    try field.integer(in: 1...(1 << 31))
  }

  private static func optional(_ field: JSONField) throws -> Int? {
    field.isPresent ? try positive(field) : nil
  }

  private static func number(
    _ field: JSONField,
    _ key: String,
    in range: ClosedRange<Double>,
    standard: Double
  ) throws -> Double {
    guard field[key].isPresent else { return standard }
    let value = try field[key].number()
    guard range.contains(value) else {
      throw SimulationError.configuration("\(field.path).\(key): \(value) is not in \(range)")
    }
    return value
  }
}
