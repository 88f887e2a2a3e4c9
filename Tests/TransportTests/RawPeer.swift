// Apache-2.0.
import Codecs
import Glibc
import WireProtocol

@testable import Transport

/// A client that keeps to no rules: bytes on a socket, with TLS or without.
final class RawPeer {
  private let socket: DescriptorBox
  private var session: TLSSession?
  private var decoder = FrameDecoder { _ in 1 << 26 }

  /// Connects.
  convenience init(_ address: SocketAddress) throws {
    try self.init(try address.resolved(forListening: false)[0])
  }

  /// Connects.
  init(_ address: ResolvedAddress) throws {
    socket = DescriptorBox(try Descriptor.connecting(to: address, named: "peer"))
    socket.descriptor.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    wait(POLLOUT)
  }

  /// Says that nothing more comes, as a process that ends does.
  func close() { _ = shutdown(socket.descriptor.number, Int32(SHUT_RDWR)) }

  /// Waits for the kernel.
  private func wait(_ events: Int32) {
    var entry = pollfd(fd: socket.descriptor.number, events: Int16(events), revents: 0)
    // SAFETY: one entry, written by the kernel.
    _ = unsafe poll(&entry, 1, 30_000)
  }

  /// Sends bytes as they are; false once the other end has closed.
  @discardableResult func sendRaw(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      // SAFETY: the kernel reads the bytes of the slice.
      let count = unsafe rest.withUnsafeBytes { buffer in
        unsafe Glibc.send(
          socket.descriptor.number,
          buffer.baseAddress,
          buffer.count,
          Int32(MSG_NOSIGNAL)
        )
      }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        wait(POLLOUT)
      } else {
        return false
      }
    }
    return true
  }

  /// Reads until the other end closes, without TLS; what came.
  func readRawToEnd() -> [UInt8] {
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      // SAFETY: the kernel writes at most as many bytes as there is room for.
      let count = unsafe recv(socket.descriptor.number, &buffer, buffer.count, 0)
      if count > 0 {
        all += buffer[..<count]
      } else if count < 0, errno == EAGAIN {
        wait(POLLIN)
      } else {
        return all
      }
    }
  }

  /// Sends a genuine first message and stops there.
  func sendHello() throws {
    let session = try TLSSession(
      try TLSContext(.none, isServer: false),
      socket: socket.descriptor.number
    )
    _ = session.handshake()
    self.session = session
  }

  /// Sets up TLS with whatever it is given.
  @discardableResult func shakeHands(_ credentials: Credentials = .none) throws -> IOResult {
    let session = try TLSSession(
      try TLSContext(credentials, isServer: false),
      socket: socket.descriptor.number
    )
    self.session = session
    while true {
      switch session.handshake() {
      case .wantsRead: wait(POLLIN)
      case .wantsWrite: wait(POLLOUT)
      case let result: return result
      }
    }
  }

  /// Serial number of the certificate that the other end has shown.
  var shownSerial: String? { session?.peerCertificate?.serial }

  /// Sends bytes within TLS; false once the other end has closed.
  @discardableResult func send(_ bytes: [UInt8]) -> Bool {
    guard let session else { return false }
    var rest = bytes[...]
    while !rest.isEmpty {
      switch session.write(rest) {
      case .moved(let count): rest = rest.dropFirst(count)
      case .wantsRead: wait(POLLIN)
      case .wantsWrite: wait(POLLOUT)
      case .ended, .failed: return false
      }
    }
    return true
  }

  @discardableResult func send(_ frame: Frame) -> Bool { send(frame.encoded) }

  /// Reads frames within TLS until the other end closes; what came, and how it ended.
  func readToEnd() throws -> (frames: [Frame], end: IOResult) {
    var frames: [Frame] = []
    while true {
      let (more, result) = try read()
      frames += more
      if let result { return (frames, result) }
    }
  }

  /// Waits for at least one frame within TLS.
  func nextFrames() throws -> [Frame] {
    while true {
      let (frames, result) = try read()
      if !frames.isEmpty || result != nil { return frames }
    }
  }

  private func read() throws -> (frames: [Frame], end: IOResult?) {
    guard let session else { return ([], .ended) }
    var buffer = [UInt8](repeating: 0, count: 32 << 10)
    switch session.read(into: &buffer) {
    case .moved(let count): return (try decoder.feed(buffer[..<count]), nil)
    case .wantsRead: wait(POLLIN)
    case .wantsWrite: wait(POLLOUT)
    case let result: return ([], result)
    }
    return ([], nil)
  }
}

extension [Frame] {
  /// The last words among them.
  var goodbye: Goodbye? {
    guard let frame = last, frame.kind == ConnectionFrame.goodbye.rawValue else { return nil }
    return try? Goodbye(decoding: frame.body)
  }
}

/// Numbers that look random and are the same in every run.
struct TestRandom: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state &* 0x2545_F491_4F6C_DD1D
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 56) }
  }
}
