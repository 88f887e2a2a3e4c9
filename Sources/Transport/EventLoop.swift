// Apache-2.0.
import CLinux
import Glibc
import Synchronization
public import Telemetry

/// Hears of a descriptor or a time; called on the loop's thread alone.
protocol LoopHandler: AnyObject {
  /// The descriptor can be read from or written to, or has failed.
  func ready(_ interest: Interest)
  /// A time that the handler asked for has come.
  func timeReached(_ now: Duration)
  /// Everything at hand has been dealt with: time to send what has gathered.
  func settle()
}

/// One thread that waits for descriptors, times and work given by other threads.
public final class EventLoop: Sendable {
  private let shared = Mutex(Shared())
  private let wake: Int32
  private let state: LoopState

  private struct Shared {
    var work: [@Sendable () -> Void] = []
    var isStopped = false
    /// The thread waits, or is about to, and looks at `work` again only if it is woken.
    var isWaiting = false
    /// The thread takes no more work.
    var isOver = false
    var thread: pthread_t?
  }

  /// Starts a thread.
  ///
  /// - Throws: `TransportError.system` where the kernel has no descriptors or threads left.
  public init(time: TimeSource = .monotonic) throws(TransportError) {
    state = LoopState(poller: try Poller(), time: time)
    wake = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
    guard wake >= 0 else { throw .lastCall("eventfd", "event loop") }
    try state.poller.add(wake, token: 0, [.read])
    // A peer that is gone must show as an error of the write, not as the end of the process.
    _ = signal(SIGPIPE, SIG_IGN)
    var thread = pthread_t()
    let context = unsafe Unmanaged.passRetained(self)
    // SAFETY: the thread takes over the retained reference and gives it back when it ends.
    let code = unsafe pthread_create(
      &thread,
      nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        unsafe Unmanaged<EventLoop>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      },
      context.toOpaque()
    )
    guard code == 0 else {
      unsafe context.release()
      throw .system(call: "pthread_create", subject: "event loop", code: code)
    }
    shared.withLock { $0.thread = thread }
  }

  deinit { _ = close(wake) }

  /// Has `work` done on the loop's thread; order is kept.
  ///
  /// Dropped once the loop has stopped.
  public func submit(_ work: @escaping @Sendable () -> Void) {
    let isNeeded = shared.withLock { shared in
      guard !shared.isOver else { return false }
      shared.work.append(work)
      defer { shared.isWaiting = false }
      return shared.isWaiting
    }
    if isNeeded { wakeUp() }
  }

  /// Has `work` done on the loop's thread after `delay`.
  public func schedule(after delay: Duration, _ work: @escaping @Sendable () -> Void) {
    submit { [state] in
      state.timers.insert(.work(work), at: state.time.now + delay)
    }
  }

  /// Lets work already given run, ends the thread and waits for it.
  ///
  /// Called on the loop's own thread, it only asks for the end.
  public func stop() {
    let thread = shared.withLock { shared -> pthread_t? in
      shared.isStopped = true
      defer { shared.thread = nil }
      return shared.thread
    }
    wakeUp()
    guard let thread else { return }
    if pthread_equal(thread, pthread_self()) != 0 {
      pthread_detach(thread)
    } else {
      pthread_join(thread, nil)
    }
  }

  /// Whether the caller runs on the loop's thread.
  var isCurrent: Bool {
    shared.withLock { $0.thread }.map { pthread_equal($0, pthread_self()) != 0 } ?? false
  }

  /// Watches a descriptor; for the loop's thread alone.
  func watch(
    _ descriptor: Int32,
    _ interest: Interest,
    _ handler: any LoopHandler
  ) throws(TransportError) -> UInt64 {
    try state.watch(descriptor, interest, handler)
  }

  /// Changes what is wanted of a watched descriptor; for the loop's thread alone.
  func change(_ descriptor: Int32, _ token: UInt64, _ interest: Interest) {
    state.poller.change(descriptor, token: token, interest)
  }

  /// Forgets a descriptor, before it is closed; for the loop's thread alone.
  func forget(_ descriptor: Int32, _ token: UInt64) {
    state.forget(descriptor, token: token)
  }

  /// Tells the handler that watches under `token` when `time` has come, if it still does; for the
  /// loop's thread alone.
  func wait(until time: Duration, _ token: UInt64) {
    state.timers.insert(.handler(token), at: time)
  }

  /// Has `handler` settle once everything at hand is done; for the loop's thread alone.
  func settleLater(_ handler: any LoopHandler) { state.unsettled.append(handler) }

  /// The loop's clock.
  var now: Duration { state.time.now }

  /// Room to read into; for the loop's thread alone, within one call of a handler.
  func withScratch<R>(_ body: (inout [UInt8]) -> R) -> R { body(&state.scratch) }

  private func wakeUp() {
    var one: UInt64 = 1
    // SAFETY: eight bytes of a local; a full counter wakes as well.
    _ = unsafe write(wake, &one, 8)
  }

  private func run() {
    while true {
      let hasWork = shared.withLock { shared in
        shared.isWaiting = shared.work.isEmpty && !shared.isStopped
        return !shared.isWaiting
      }
      let events = state.poller.wait(hasWork ? 0 : state.patience)
      // Work that the events lead to on this thread needs no waking.
      shared.withLock { $0.isWaiting = false }
      for (token, interest) in events {
        if token == 0 {
          var count: UInt64 = 0
          // SAFETY: eight bytes of a local.
          _ = unsafe read(wake, &count, 8)
        } else {
          // A handler earlier in this batch may have ended a later one.
          state.handlers[token]?.ready(interest)
        }
      }
      let (work, isStopped) = shared.withLock { shared in
        defer { shared.work = [] }
        // What waits for a thread that is gone would keep alive whatever it refers to.
        shared.isOver = shared.isStopped && shared.work.isEmpty
        return (shared.work, shared.isStopped)
      }
      for item in work { item() }
      state.tellTimes()
      state.settle()
      if isStopped && work.isEmpty { break }
    }
    state.clear()
  }
}

/// What a time is for.
private enum TimerKey {
  /// The handler of a token, where it is still there.
  case handler(UInt64)
  case work(@Sendable () -> Void)
}

/// What a loop's thread alone touches.
// SAFETY: after `EventLoop.init` every access is on the loop's thread: `EventLoop`'s methods say so.
private final class LoopState: @unchecked Sendable {
  let poller: Poller
  let time: TimeSource
  var handlers: [UInt64: any LoopHandler] = [:]
  var timers = TimerQueue<TimerKey>()
  var unsettled: [any LoopHandler] = []
  /// One whole TLS record and more.
  var scratch = [UInt8](repeating: 0, count: 32 << 10)
  private var lastToken: UInt64 = 0

  init(poller: Poller, time: TimeSource) {
    self.poller = poller
    self.time = time
  }

  func watch(
    _ number: Int32,
    _ interest: Interest,
    _ handler: any LoopHandler
  ) throws(TransportError) -> UInt64 {
    lastToken += 1
    try poller.add(number, token: lastToken, interest)
    handlers[lastToken] = handler
    return lastToken
  }

  func forget(_ number: Int32, token: UInt64) {
    guard handlers.removeValue(forKey: token) != nil else { return }
    poller.remove(number)
  }

  /// Milliseconds until the next time, rounded up so that it has come then; -1 for ever.
  var patience: Int32 {
    guard let next = timers.next else { return -1 }
    let wait = next - time.now
    guard wait > .zero else { return 0 }
    return Int32(min(wait / .milliseconds(1) + 1, 3_600_000))
  }

  func tellTimes() {
    guard timers.count > 0 else { return }
    let now = time.now
    while let key = timers.popDue(now) {
      switch key {
      case .handler(let token): handlers[token]?.timeReached(now)
      case .work(let work): work()
      }
    }
  }

  func settle() {
    while !unsettled.isEmpty {
      let handlers = unsettled
      unsettled = []
      for handler in handlers { handler.settle() }
    }
  }

  func clear() {
    handlers = [:]
    unsettled = []
    timers = TimerQueue()
  }
}
