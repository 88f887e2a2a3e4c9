// Apache-2.0.
public import FederatedCore

/// Names a task of a run: a client has one task a version at the most.
public struct TaskKey: Sendable, Hashable {
  /// The client's ordinal.
  public let client: UInt32
  /// The version the task starts from.
  public let base: UInt32

  /// The task of `client` from version `base`.
  public init(client: UInt32, base: UInt32) {
    self.client = client
    self.base = base
  }
}

/// What a scheduler is told.
public enum SchedulerEvent: Sendable, Equatable {
  /// A version is there to train from; `clients` ordinals 0..<clients are known by now.
  ///
  /// Tasks without a result and results without an aggregation are those that a restart found in
  /// the ledger.
  case begin(round: UInt32, clients: UInt32, tasks: [TaskKey], arrived: [TaskKey])
  /// A client with so many examples is connected and ready.
  case present(client: UInt32, examples: UInt64)
  /// The connection of a client is gone; it may come back.
  case away(client: UInt32)
  /// The contribution of a client is safe.
  case arrived(TaskKey)
  /// A client cannot do its task.
  case failed(client: UInt32)
  /// A deadline the scheduler named may have passed.
  case timer
}

/// What a scheduler wants done.
public enum SchedulerAction: Sendable, Equatable {
  /// Hand out a task from the current version; again where the client had it already.
  case assign(client: UInt32, steps: Int)
  /// Fold these contributions into the next version; `begin` follows.
  case aggregate([TaskKey], Weighting)
  /// Send an idle client away until then: there is nothing for it to do.
  case dismiss(client: UInt32, after: Duration)
  /// Something a person should know.
  case note(String)
}

/// How much each contribution of an aggregation moves the model.
public enum Weighting: Sendable, Equatable {
  /// As its share of the examples of all of them.
  case examples
  /// By the factors given, in the order of the contributions.
  case factors([Double])
}

/// Who trains when: a value that is told what happens and says what to do.
///
/// It sees ordinals and times only, so every schedule can be replayed and every fault injected. One
/// that groups clients by speed (FedCompass) names other steps for each and other moments to
/// aggregate; nothing else changes.
public protocol Scheduler: Sendable {
  /// Name in a run file.
  static var name: String { get }

  /// Whether a task that is not done when its version is replaced is of no use any more.
  static var dropsOpenTasks: Bool { get }

  /// The scheduler of a fresh run.
  ///
  /// - Parameters:
  ///   - schedule: the run file's section.
  ///   - steps: local steps of a task where the policy does not choose them.
  ///   - key: Philox key of the run.
  init(_ schedule: ScheduleSection, steps: Int, key: UInt64)

  /// Takes in an event.
  mutating func handle(_ event: SchedulerEvent, now: Duration) -> [SchedulerAction]

  /// When `timer` is due next.
  var nextDeadline: Duration? { get }

  /// What the round waits for, for people; nil where it waits for nothing unusual.
  var waitingFor: String? { get }
}

/// Every policy, one line each.
public enum SchedulerCatalog {
  private static let entries: [any Scheduler.Type] = [
    SynchronousScheduler.self,
    CompassScheduler.self,
    BufferedScheduler.self,
    AsynchronousScheduler.self,
    TieredScheduler.self,
  ]

  /// Names a run file may give.
  public static var names: [String] { entries.map { $0.name } }

  /// The scheduler of a fresh run.
  ///
  /// - Throws: `FederationError.configuration` for a policy that there is not.
  public static func start(
    _ schedule: ScheduleSection,
    steps: Int,
    key: UInt64
  ) throws(FederationError) -> any Scheduler {
    guard let entry = entries.first(where: { $0.name == schedule.policy }) else {
      throw .configuration(
        path: "schedule.policy",
        advice: "there is no '\(schedule.policy)'; write one of \(names.joined(separator: ", "))"
      )
    }
    return entry.init(schedule, steps: steps, key: key)
  }
}
