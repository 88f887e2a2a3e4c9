// Apache-2.0.
import CKernels
import Glibc
import Synchronization

/// What the threads of a team share: the task counter, the current body, and how to sleep.
///
/// A run is published by adding one to `generation`. Every worker joins every run and leaves it by
/// taking one from `working`, so that nobody can be late from an earlier run.
@safe final class TeamState: @unchecked Sendable {
  // SAFETY: `body` and `tasks` are written by the one caller that holds `callers`, before it
  // publishes the generation with release order, and read by workers after they saw it with
  // acquire order; the caller does not return before `working` is zero.
  private var body: ((Int, Int) -> Void)?
  private var tasks = 0
  private var workers: [pthread_t] = []

  private let generation = Atomic<Int>(0)
  private let nextTask = Atomic<Int>(0)
  private let working = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  /// Threads that sleep or are about to.
  ///
  /// Whoever makes a condition true looks here afterwards, and
  /// whoever sleeps looks at its condition afterwards, both in one order for all: one of them sees
  /// the other.
  private let sleepers = Atomic<Int>(0)
  private let callers = Mutex<Void>(())
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>

  /// Looks at a condition before a thread gives way to others: some microseconds, the gap between
  /// two nodes of a plan.
  private static let looks = 200
  /// Looks between giving way and sleeping, some tens of microseconds.
  private static let yields = 200

  init() {
    unsafe mutex = .allocate(capacity: 1)
    unsafe changed = .allocate(capacity: 1)
    unsafe pthread_mutex_init(mutex, nil)
    unsafe pthread_cond_init(changed, nil)
  }

  deinit {
    unsafe pthread_cond_destroy(changed)
    unsafe pthread_mutex_destroy(mutex)
    unsafe changed.deallocate()
    unsafe mutex.deallocate()
  }

  /// Starts up to `count` workers; returns how many the system gave.
  func startWorkers(_ count: Int) -> Int {
    for thread in 0..<count {
      let seat = unsafe Unmanaged.passRetained(TeamSeat(state: self, thread: thread + 1))
      var handle = pthread_t()
      // SAFETY: the thread takes over the retained seat.
      let failed = unsafe pthread_create(
        &handle,
        nil,
        { seat in
          guard let seat = unsafe seat else { return nil }
          let owned = unsafe Unmanaged<TeamSeat>.fromOpaque(seat).takeRetainedValue()
          owned.state.work(thread: owned.thread)
          return nil
        },
        seat.toOpaque()
      )
      guard failed == 0 else {
        unsafe seat.release()
        break
      }
      workers.append(handle)
    }
    return workers.count
  }

  /// Ends and joins the workers.
  func stop() {
    stopping.store(true, ordering: .releasing)
    publish()
    for worker in workers { pthread_join(worker, nil) }
    workers = []
  }

  /// One run; `alone`: on the caller's thread only.
  func run(tasks: Int, alone: Bool, _ body: (Int, Int) -> Void) {
    callers.withLock { _ in
      if alone {
        for task in 0..<tasks { body(task, 0) }
        return
      }
      withoutActuallyEscaping(body) { body in
        self.body = body
        self.tasks = tasks
        nextTask.store(0, ordering: .relaxed)
        working.store(workers.count, ordering: .relaxed)
        publish()
        drain(thread: 0, body)
        wait { working.load(ordering: .sequentiallyConsistent) == 0 }
        self.body = nil
      }
    }
  }

  private func publish() {
    generation.add(1, ordering: .sequentiallyConsistent)
    wakeSleepers()
  }

  private func wakeSleepers() {
    guard sleepers.load(ordering: .sequentiallyConsistent) > 0 else { return }
    unsafe pthread_mutex_lock(mutex)
    unsafe pthread_cond_broadcast(changed)
    unsafe pthread_mutex_unlock(mutex)
  }

  /// Spins, then gives way, then sleeps, until `condition` holds.
  private func wait(until condition: () -> Bool) {
    for _ in 0..<Self.looks {
      if condition() { return }
      samara_spin_pause()
    }
    for _ in 0..<Self.yields {
      if condition() { return }
      sched_yield()
    }
    unsafe pthread_mutex_lock(mutex)
    sleepers.add(1, ordering: .sequentiallyConsistent)
    while !condition() { unsafe pthread_cond_wait(changed, mutex) }
    sleepers.subtract(1, ordering: .relaxed)
    unsafe pthread_mutex_unlock(mutex)
  }

  private func drain(thread: Int, _ body: (Int, Int) -> Void) {
    while true {
      let task = nextTask.add(1, ordering: .relaxed).oldValue
      if task >= tasks { return }
      body(task, thread)
    }
  }

  /// A worker's life.
  func work(thread: Int) {
    var seen = 0
    while true {
      wait { generation.load(ordering: .sequentiallyConsistent) != seen }
      seen += 1
      if stopping.load(ordering: .acquiring) { return }
      if let body { drain(thread: thread, body) }
      if working.subtract(1, ordering: .sequentiallyConsistent).newValue == 0 { wakeSleepers() }
    }
  }
}

/// What a thread is started with.
private final class TeamSeat: Sendable {
  let state: TeamState
  let thread: Int

  init(state: TeamState, thread: Int) {
    self.state = state
    self.thread = thread
  }
}
