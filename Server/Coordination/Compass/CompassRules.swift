// Apache-2.0.
import Glibc

/// Numbers of FedCompass (Li et al., ICLR 2024, arXiv 2309.14675).
public struct CompassSettings: Sendable, Equatable {
  /// Local steps of a task at least.
  public var leastSteps: Int
  /// Local steps of a task at most.
  public var mostSteps: Int
  /// λ: how much later than expected a group still waits, as a factor of a task's duration.
  public var latestFactor: Double
  /// Weight of the newest speed in the moving mean.
  public var speedMomentum: Double
  /// α: how far a full fresh group moves the model.
  public var alpha: Double
  /// a: exponent of the staleness discount α(1 + s)^−a.
  public var stalenessExponent: Double
  /// Clients that share the weight.
  public var clientCount: Int

  /// Settings; the paper's values where nothing is said.
  public init(
    leastSteps: Int,
    mostSteps: Int,
    latestFactor: Double = 1.2,
    speedMomentum: Double = 0.9,
    alpha: Double = 0.9,
    stalenessExponent: Double = 0.5,
    clientCount: Int
  ) {
    self.leastSteps = leastSteps
    self.mostSteps = mostSteps
    self.latestFactor = latestFactor
    self.speedMomentum = speedMomentum
    self.alpha = alpha
    self.stalenessExponent = stalenessExponent
    self.clientCount = clientCount
  }

  /// Share of an update that is `staleness` versions old: α(1 + s)^−a / n.
  public func weight(staleness: Int) -> Double {
    alpha * pow(1 + Double(staleness), -stalenessExponent) / Double(clientCount)
  }
}

/// Where the paper, the published package and sound practice part ways.
public struct CompassRules: Sendable, Equatable {
  /// What becomes of updates that come after their group was aggregated.
  public enum LateUpdates: Sendable {
    /// All of them are summed into the next aggregation.
    case summed
    /// One a client, hidden by a punctual one of the same client: what is replaced is lost.
    case oneSlot
  }

  /// Whether the first task has `mostSteps` and counts from the start of the server.
  public var isFirstTaskLong: Bool
  /// Whether a new group looks to the latest time of another one instead of the expected one.
  public var anchorsAtLatest: Bool
  /// Whether a candidate above `mostSteps` is cut to it instead of ignored.
  public var clampsCandidates: Bool
  /// What becomes of late updates.
  public var lateUpdates: LateUpdates
  /// Whether staleness is counted when an update arrives instead of when it is aggregated.
  public var countsStalenessAtArrival: Bool
  /// Whether late updates are aggregated when a timer finds nobody punctual.
  public var flushes: Bool
  /// Whether nobody may join a group from the moment it is aggregated.
  public var closesFirst: Bool

  /// The rules without their defects; docs/design.md says why each.
  public static let fixed = CompassRules(
    isFirstTaskLong: false,
    anchorsAtLatest: false,
    clampsCandidates: false,
    lateUpdates: .summed,
    countsStalenessAtArrival: false,
    flushes: true,
    closesFirst: true
  )

  /// As printed.
  public static let paper = CompassRules(
    isFirstTaskLong: false,
    anchorsAtLatest: false,
    clampsCandidates: true,
    lateUpdates: .summed,
    countsStalenessAtArrival: true,
    flushes: false,
    closesFirst: false
  )

  /// As APPFL has them since 1.0.
  public static let appfl = CompassRules(
    isFirstTaskLong: true,
    anchorsAtLatest: true,
    clampsCandidates: false,
    lateUpdates: .oneSlot,
    countsStalenessAtArrival: false,
    flushes: false,
    closesFirst: true
  )

  /// Presets by name.
  public static let presets: [(name: String, rules: CompassRules)] = [
    ("fixed", .fixed), ("paper", .paper), ("appfl", .appfl),
  ]
}
