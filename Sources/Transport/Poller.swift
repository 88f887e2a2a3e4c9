// Apache-2.0.
import CLinux
import Glibc

/// What a descriptor's owner wants to hear of.
struct Interest: OptionSet {
  let rawValue: UInt32
  static let read = Interest(rawValue: EPOLLIN.rawValue)
  static let write = Interest(rawValue: EPOLLOUT.rawValue)
}

/// The kernel's list of watched descriptors; each is known by a token.
// SAFETY: the events are written by the kernel within `wait` and hold nothing but tokens.
@safe final class Poller {
  private let descriptor: Descriptor
  private var events = unsafe [epoll_event](repeating: epoll_event(), count: 128)

  init() throws(TransportError) {
    let number = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard number >= 0 else { throw .lastCall("epoll_create1", "event loop") }
    descriptor = Descriptor(number)
  }

  /// Begins to watch a descriptor.
  func add(_ number: Int32, token: UInt64, _ interest: Interest) throws(TransportError) {
    var event = unsafe epoll_event(events: interest.rawValue, data: epoll_data_t(u64: token))
    // SAFETY: the kernel copies the event.
    guard unsafe epoll_ctl(descriptor.number, EPOLL_CTL_ADD, number, &event) == 0 else {
      throw .lastCall("epoll_ctl", "event loop")
    }
  }

  /// Changes what is wanted.
  func change(_ number: Int32, token: UInt64, _ interest: Interest) {
    var event = unsafe epoll_event(events: interest.rawValue, data: epoll_data_t(u64: token))
    // SAFETY: the kernel copies the event.
    _ = unsafe epoll_ctl(descriptor.number, EPOLL_CTL_MOD, number, &event)
  }

  /// Forgets a descriptor.
  func remove(_ number: Int32) {
    _ = epoll_ctl(descriptor.number, EPOLL_CTL_DEL, number, nil)
  }

  /// Waits at most `milliseconds` (-1: for ever); tokens and what they are ready for.
  func wait(_ milliseconds: Int32) -> [(token: UInt64, interest: Interest)] {
    // SAFETY: the kernel writes at most as many events as there is room for.
    let count = unsafe epoll_wait(
      descriptor.number,
      &events,
      Int32(events.count),
      milliseconds
    )
    return (0..<max(0, Int(count))).map { index in
      // SAFETY: every event was registered with a 64-bit token.
      let (bits, token) = unsafe (events[index].events, events[index].data.u64)
      var interest: Interest = []
      // Failures show to whoever reads or writes next.
      let failed = bits & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0
      if failed || bits & EPOLLIN.rawValue != 0 { interest.insert(.read) }
      if failed || bits & EPOLLOUT.rawValue != 0 { interest.insert(.write) }
      return (token, interest)
    }
  }
}
