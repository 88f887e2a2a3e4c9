// Apache-2.0.
import Codecs

/// What schedules without rounds read: how long tasks are and what late results count for.
public struct AsynchronySection: Sendable, Equatable {
  /// FedCompass: local steps of a task at least.
  public let leastSteps: Int
  /// FedCompass: local steps of a task at most.
  public let mostSteps: Int
  /// FedCompass: λ, how much longer than expected a group is waited for.
  public let latestFactor: Double
  /// FedCompass: weight of the newest speed in the moving mean.
  public let speedMomentum: Double
  /// FedCompass: rules of `CompassRules.presets`.
  public let preset: String
  /// FedCompass: whether updates are made equal in steps before they are averaged (FedNova).
  public let normalizes: Bool
  /// FedBuff: results that make a version.
  public let buffer: Int
  /// Tiered: tiers of like speed.
  public let tiers: Int
  /// How far an aggregation moves the model: α.
  public let alpha: Double
  /// Exponent of the discount (1 + staleness)^−a.
  public let stalenessExponent: Double
  /// How long a client may be away before nobody waits for it any more.
  public let lease: Duration

  static let keys = [
    "q_min", "q_max", "lambda", "speed_momentum", "preset", "normalize", "buffer", "tiers",
    "alpha", "staleness_exponent", "lease",
  ]

  /// Reads the keys beside those of every schedule.
  ///
  /// - Parameters:
  ///   - steps: local steps of a task where nothing else is said.
  ///   - clients: clients of the schedule.
  init(
    _ section: ConfigurationSection,
    steps: Int,
    clients: Int
  ) throws(FederationError) {
    mostSteps = try section.integer("q_max", in: 1...4096, standard: steps)
    let standard = AsynchronySection(steps: mostSteps, clients: clients)
    leastSteps = try section.integer("q_min", in: 1...mostSteps, standard: standard.leastSteps)
    latestFactor = try section.number("lambda", in: 1...1000, standard: standard.latestFactor)
    speedMomentum = try section.number(
      "speed_momentum",
      in: 0...1,
      standard: standard.speedMomentum
    )
    preset =
      section.has("preset") ? try section.word("preset", of: Self.presets) : standard.preset
    normalizes = try section.flag("normalize", standard: standard.normalizes)
    buffer = try section.integer(
      "buffer",
      in: 1...RunConfiguration.maximumClients,
      standard: standard.buffer
    )
    tiers = try section.integer("tiers", in: 1...64, standard: standard.tiers)
    alpha = try section.number("alpha", in: 0...1, standard: standard.alpha)
    stalenessExponent = try section.number(
      "staleness_exponent",
      in: 0...100,
      standard: standard.stalenessExponent
    )
    lease = try section.duration("lease", standard: standard.lease)
  }

  /// The values of a schedule that says nothing about them.
  public init(steps: Int, clients: Int) {
    mostSteps = steps
    leastSteps = max(1, steps / 5)
    latestFactor = 1.2
    speedMomentum = 0.9
    preset = "fixed"
    normalizes = false
    buffer = max(1, clients / 3)
    tiers = 3
    alpha = 0.9
    stalenessExponent = 0.5
    lease = .seconds(600)
  }

  /// Rules a run may name.
  public static let presets = ["fixed", "paper", "appfl"]

  var members: [JSONValue.Member] {
    [
      .init("q_min", .integer(Int64(leastSteps))),
      .init("q_max", .integer(Int64(mostSteps))),
      .init("lambda", .number(latestFactor)),
      .init("speed_momentum", .number(speedMomentum)),
      .init("preset", .string(preset)),
      .init("normalize", .bool(normalizes)),
      .init("buffer", .integer(Int64(buffer))),
      .init("tiers", .integer(Int64(tiers))),
      .init("alpha", .number(alpha)),
      .init("staleness_exponent", .number(stalenessExponent)),
      .init("lease", .string(lease.text)),
    ]
  }
}
