// Apache-2.0.
import Coordination
import FederatedCore
import Participation
import Synchronization
import Tensors

/// Work whose results the virtual clock has not asked for yet.
///
/// Nothing is computed before its result is wanted; then all that waits is, on every thread, the
/// longest piece first. Which thread does what decides no bit.
struct WorkQueue {
  private let team: ThreadTeam
  private let journal: ResultJournal?
  /// Told on the caller's thread how many pieces of those at work are done.
  private let onProgress: (Int) -> Void
  /// One a thread, which alone touches it.
  private var seats: [any WorkSeat] = []
  private var waiting: [(ticket: Int, job: SimulatedJob)] = []
  private var outcomes: [Int: WorkOutcome] = [:]
  private var lastTicket = 0

  /// A queue; makes its workers at once, because they need memory.
  init(
    _ work: some SimulatedWork,
    workers count: Int,
    journal: ResultJournal? = nil,
    onProgress: @escaping (Int) -> Void = { _ in }
  ) throws {
    self.journal = journal
    self.onProgress = onProgress
    team = ThreadTeam(threads: count)
    for _ in 0..<team.threadCount { seats.append(try Self.seat(at: work)) }
  }

  private static func seat<Work: SimulatedWork>(at work: Work) throws -> any WorkSeat {
    try WorkerSeat(work)
  }

  /// Adds a piece of work and returns what its result is asked for with.
  mutating func add(_ job: SimulatedJob) -> Int {
    lastTicket += 1
    waiting.append((lastTicket, job))
    return lastTicket
  }

  /// Whether a piece of work is computed.
  func isDone(_ ticket: Int) -> Bool { outcomes.index(forKey: ticket) != nil }

  /// The result of a piece of work; nil where it is not computed, or nobody wants it any more.
  mutating func take(_ ticket: Int) -> WorkOutcome? {
    outcomes.removeValue(forKey: ticket)
  }

  /// Drops work whose result nobody wants any more.
  mutating func forget(_ ticket: Int) {
    waiting.removeAll { $0.ticket == ticket }
    outcomes[ticket] = nil
  }

  /// Does other work on every thread.
  func share(tasks: Int, _ body: (_ task: Int) -> Void) {
    team.run(tasks: tasks) { task, _ in body(task) }
  }

  /// Computes all that waits.
  ///
  /// - Parameter server: what checks results where they are computed.
  mutating func computeAll(checkedBy server: (any AlgorithmSession)?) throws {
    var jobs = waiting
    waiting = []
    if let journal {
      var missing: [(ticket: Int, job: SimulatedJob)] = []
      for job in jobs {
        outcomes[job.ticket] = try journal.outcome(job.ticket)
        if outcomes[job.ticket] == nil { missing.append(job) }
      }
      jobs = missing
    }
    jobs.sort { ($1.job.cost, $0.ticket) < ($0.job.cost, $1.ticket) }
    let done = Mutex<(outcomes: [Int: WorkOutcome], failure: (any Error)?)>(([:], nil))
    team.run(tasks: jobs.count) { index, thread in
      let ticket = jobs[index].ticket
      let outcome = seats[thread].compute(jobs[index].job, checkedBy: server)
      let written = Result { try journal?.append(ticket, outcome) }
      let count = done.withLock { done in
        done.outcomes[ticket] = outcome
        if case .failure(let failure) = written { done.failure = failure }
        return done.outcomes.count
      }
      // The first thread is the caller's.
      if thread == 0 { onProgress(count) }
    }
    let (new, failure) = done.withLock { $0 }
    if let failure { throw failure }
    outcomes.merge(new) { _, new in new }
  }
}
