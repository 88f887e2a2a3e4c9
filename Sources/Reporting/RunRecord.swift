// Apache-2.0.

/// What a report tells about one run: plain numbers, whoever gathered them.
public struct RunRecord: Sendable, Equatable {
  /// A version of the model.
  public struct Version: Sendable, Equatable {
    /// Its number; 0 is the base.
    public let number: Int
    /// Seconds since the run began.
    public let time: Double
    /// Bytes that all clients have sent and received by then.
    public let bytes: Double
    /// How many versions late each contribution was.
    public let ages: [Int]
    /// Held-out loss, where it was evaluated.
    public let loss: Double?
    /// Held-out accuracy, where the task has one.
    public let accuracy: Double?

    /// A version.
    public init(
      number: Int,
      time: Double,
      bytes: Double,
      ages: [Int],
      loss: Double?,
      accuracy: Double?
    ) {
      self.number = number
      self.time = time
      self.bytes = bytes
      self.ages = ages
      self.loss = loss
      self.accuracy = accuracy
    }
  }

  /// A client at work on a task.
  public struct Task: Sendable, Equatable {
    /// The client's position.
    public let client: Int
    /// When it began, seconds.
    public let start: Double
    /// When it was done, seconds.
    public let end: Double
    /// The version it started from.
    public let base: Int

    /// A task.
    public init(client: Int, start: Double, end: Double, base: Int) {
      self.client = client
      self.start = start
      self.end = end
      self.base = base
    }
  }

  /// Name of the run.
  public var name: String
  /// What distinguishes it, for the legend and the foot: algorithm, schedule, seed, digests.
  public var facts: [(String, String)]
  /// Versions in order.
  public var versions: [Version]
  /// Tasks in order of their ends.
  public var tasks: [Task]
  /// Clients of the run.
  public var clients: Int
  /// Seconds from the beginning to the end.
  public var duration: Double

  /// A record.
  public init(
    name: String,
    facts: [(String, String)],
    versions: [Version],
    tasks: [Task],
    clients: Int,
    duration: Double
  ) {
    self.name = name
    self.facts = facts
    self.versions = versions
    self.tasks = tasks
    self.clients = clients
    self.duration = duration
  }

  /// Equal where all that is told is equal.
  public static func == (left: RunRecord, right: RunRecord) -> Bool {
    left.name == right.name && left.versions == right.versions && left.tasks == right.tasks
      && left.clients == right.clients && left.duration == right.duration
      && left.facts.elementsEqual(right.facts) { $0 == $1 }
  }
}

extension RunRecord {
  /// Whether the metric is accuracy; loss where a version has none.
  var hasAccuracy: Bool { versions.contains { $0.accuracy != nil } }

  /// The metric of a version.
  func metric(_ version: Version, accuracy: Bool) -> Double? {
    accuracy ? version.accuracy : version.loss
  }

  /// The first version at least as good as `target`.
  func reached(_ target: Double, accuracy: Bool) -> Version? {
    versions.first { version in
      guard let value = metric(version, accuracy: accuracy) else { return false }
      return accuracy ? value >= target : value <= target
    }
  }

  /// The metric of the last version that was evaluated.
  func lastMetric(accuracy: Bool) -> Double? {
    versions.reversed().lazy.compactMap { self.metric($0, accuracy: accuracy) }.first
  }

  /// Share of the clients' time in which they did not work.
  var idleShare: Double {
    let worked = tasks.reduce(0) { $0 + $1.end - $1.start }
    let all = duration * Double(clients)
    return all > 0 ? max(0, 1 - worked / all) : 0
  }

  /// Contributions that count, by how many versions late they were.
  var ageCounts: [Int] {
    let ages = versions.flatMap(\.ages)
    var counts = [Int](repeating: 0, count: (ages.max() ?? -1) + 1)
    for age in ages { counts[age] += 1 }
    return counts
  }

  /// Tasks done by each client.
  var participation: [Int] {
    var counts = [Int](repeating: 0, count: clients)
    for task in tasks where counts.indices.contains(task.client) { counts[task.client] += 1 }
    return counts
  }
}
