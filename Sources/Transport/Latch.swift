// Apache-2.0.
import Glibc

// SAFETY: the condition and its lock are used only by address, live as long as the latch, and are
// made for use by many threads.
/// Lets one thread wait for an event on another.
@safe public final class Latch: @unchecked Sendable {
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var isOpen = false

  /// A latch that is not open.
  public init() {
    unsafe lock = .allocate(capacity: 1)
    unsafe condition = .allocate(capacity: 1)
    unsafe pthread_mutex_init(lock, nil)
    unsafe pthread_cond_init(condition, nil)
  }

  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(lock)
    unsafe condition.deallocate()
    unsafe lock.deallocate()
  }

  /// Lets all waiters go on, now and later.
  public func open() {
    unsafe pthread_mutex_lock(lock)
    isOpen = true
    unsafe pthread_cond_broadcast(condition)
    unsafe pthread_mutex_unlock(lock)
  }

  /// Waits until `open` has been called.
  public func wait() {
    unsafe pthread_mutex_lock(lock)
    while !isOpen { unsafe pthread_cond_wait(condition, lock) }
    unsafe pthread_mutex_unlock(lock)
  }
}
