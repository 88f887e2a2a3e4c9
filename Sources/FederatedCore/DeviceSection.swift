// Apache-2.0.
import Codecs

/// How fast simulated clients are, how they are connected and when they are away.
public struct DeviceSection: Sendable, Equatable {
  /// How the mean time of a step differs from client to client.
  public enum Speeds: String, Sendable, CaseIterable {
    /// Not at all.
    case equal
    /// Normal with a deviation of `spread` means, at least a tenth of the mean.
    case normal
    /// Exponential, at least a hundredth of the mean.
    case exponential
    /// e to a normal of deviation `spread`.
    case lognormal
    /// Log-uniform: the slowest takes `spread` times as long as the fastest.
    case loguniform
  }

  /// Virtual seconds of a local step: the mean, for lognormal and loguniform the median.
  public let stepSeconds: Double
  /// How clients differ.
  public let speeds: Speeds
  /// By how much.
  public let spread: Double
  /// Share of a step's time that a smaller batch does not save.
  public let overhead: Double
  /// Bytes a device has for training, the first client the first, and from the first again where there
  /// are more clients; empty for no bound.
  public let memory: [Int]
  /// Deviation of a task's time from the client's mean, as a share of it.
  public let noise: Double
  /// Seconds a message takes however short it is.
  public let latency: Double
  /// Bytes a second each way, 0 for no limit.
  public let bandwidth: Double
  /// Probability that a client is lost during a task.
  public let dropout: Double
  /// Mean seconds a client is connected at a stretch, 0 for always.
  public let online: Double
  /// Mean seconds it is away in between.
  public let offline: Double

  static let keys = [
    "step_seconds", "speeds", "spread", "step_overhead", "memory", "noise", "latency", "bandwidth",
    "dropout", "online", "offline",
  ]

  init(_ section: ConfigurationSection) throws(FederationError) {
    stepSeconds = try section.number("step_seconds", in: 0...1e6, standard: 0.1)
    let names = Speeds.allCases.map(\.rawValue)
    let name = section.has("speeds") ? try section.word("speeds", of: names) : "equal"
    speeds = Speeds(rawValue: name) ?? .equal
    let standard =
      switch speeds {
      case .equal, .exponential: 1.0
      case .normal: 0.3
      case .lognormal: 0.5
      case .loguniform: 4.0
      }
    let least = speeds == .loguniform ? 1.0 : 0
    spread = try section.number("spread", in: least...1e6, standard: standard)
    overhead = try section.number("step_overhead", in: 0...1, standard: 0)
    memory = try section.byteCounts("memory")
    noise = try section.number("noise", in: 0...1, standard: 0)
    latency = try section.number("latency", in: 0...1e6, standard: 0)
    bandwidth = try section.number("bandwidth", in: 0...1e15, standard: 0)
    dropout = try section.number("dropout", in: 0...1, standard: 0)
    online = try section.number("online", in: 0...1e9, standard: 0)
    offline = try section.number("offline", in: 0.001...1e9, standard: 60)
  }

  var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init("step_seconds", .number(stepSeconds)),
      .init("speeds", .string(speeds.rawValue)),
      .init("spread", .number(spread)),
      .init("noise", .number(noise)),
      .init("latency", .number(latency)),
      .init("bandwidth", .number(bandwidth)),
      .init("dropout", .number(dropout)),
      .init("online", .number(online)),
      .init("offline", .number(offline)),
    ]
    if overhead > 0 { members.append(.init("step_overhead", .number(overhead))) }
    if !memory.isEmpty {
      let texts = memory.map { JSONValue.string("\($0)") }
      members.append(.init("memory", .array(texts)))
    }
    return .object(members)
  }
}
