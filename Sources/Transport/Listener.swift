// Apache-2.0.
import CLinux
import Glibc

/// A socket that takes in connections and hands each one on.
final class Listener: LoopHandler {
  /// Where it listens; the port is the one the kernel chose.
  let address: SocketAddress?
  private let socket: Descriptor
  private let loop: EventLoop
  private let accept: (consuming Descriptor) -> Void
  private var token: UInt64 = 0

  init(
    _ socket: consuming Descriptor,
    loop: EventLoop,
    accept: @escaping (consuming Descriptor) -> Void
  ) {
    address = socket.address(local: true)
    self.socket = socket
    self.loop = loop
    self.accept = accept
  }

  /// Begins; on the loop's thread.
  func start() throws(TransportError) { token = try loop.watch(socket.number, [.read], self) }

  /// Ends; on the loop's thread.
  ///
  /// The port is free once the listener is gone.
  func stop() { loop.forget(socket.number, token) }

  func ready(_ interest: Interest) {
    // Some at a time: those already connected want their turn.
    for _ in 0..<64 {
      let number = samara_accept(socket.number)
      if number >= 0 {
        accept(Descriptor(number))
      } else if errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM {
        // No room: the backlog stays readable, so look away for a while.
        loop.change(socket.number, token, [])
        return loop.wait(until: loop.now + .milliseconds(200), token)
      } else if errno != ECONNABORTED && errno != EINTR {
        return
      }
    }
  }

  func timeReached(_ now: Duration) { loop.change(socket.number, token, [.read]) }

  func settle() {}
}
