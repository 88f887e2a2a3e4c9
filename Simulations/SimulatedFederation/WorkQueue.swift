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
struct WorkQueue<Work: SimulatedWork> {
  /// A piece of work.
  enum Job {
    case train(client: Int, TrainingOrder)
    case evaluate([WeightUpdate])

    /// Expected duration in local steps; nothing but the order depends on it.
    var cost: Int {
      switch self {
      case .train(_, let order): order.task.steps
      case .evaluate: .max
      }
    }
  }

  private let work: Work
  private let team: ThreadTeam
  private let journal: ResultJournal?
  /// Told on the caller's thread how many pieces of those at work are done.
  private let onProgress: (Int) -> Void
  /// One a thread, which alone touches it.
  private var seats: [Seat] = []
  private var waiting: [(ticket: Int, job: Job)] = []
  private var outcomes: [Int: WorkOutcome] = [:]
  private var lastTicket = 0

  private final class Seat {
    var worker: Work.Worker

    init(_ worker: Work.Worker) { self.worker = worker }
  }

  /// A queue; makes its workers at once, because they need memory.
  init(
    _ work: Work,
    workers count: Int,
    journal: ResultJournal? = nil,
    onProgress: @escaping (Int) -> Void = { _ in }
  ) throws {
    self.work = work
    self.journal = journal
    self.onProgress = onProgress
    team = ThreadTeam(threads: count)
    for _ in 0..<team.threadCount { seats.append(Seat(try work.makeWorker())) }
  }

  /// Adds a piece of work and returns what its result is asked for with.
  mutating func add(_ job: Job) -> Int {
    lastTicket += 1
    waiting.append((lastTicket, job))
    return lastTicket
  }

  /// The result of a piece of work, computed now if it is not yet.
  mutating func result(_ ticket: Int) throws -> WorkOutcome? {
    if outcomes[ticket] == nil { try computeAll() }
    return outcomes.removeValue(forKey: ticket)
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

  private mutating func computeAll() throws {
    var jobs = waiting
    waiting = []
    if let journal {
      var missing: [(ticket: Int, job: Job)] = []
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
      let outcome = Self.compute(jobs[index].job, work, &seats[thread].worker)
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

  private static func compute(
    _ job: Job,
    _ work: Work,
    _ worker: inout Work.Worker
  ) -> WorkOutcome {
    switch job {
    case .train(let client, let order):
      do {
        let result = try work.train(
          client: client,
          order.task,
          from: order.session,
          memory: order.memory,
          on: &worker
        )
        return .trained(.success(result))
      } catch { return .trained(.failure(ParticipationFailure("\(error)"))) }
    case .evaluate(let updates):
      do { return .evaluated(.success(try work.evaluate(updates, on: &worker))) } catch {
        return .evaluated(.failure(PreparationFailure("\(error)")))
      }
    }
  }
}
