// Apache-2.0.
import Glibc

/// How bytes move on a connection's socket.
enum Channel {
  /// TCP is being set up; TLS follows, or nothing for the administration socket.
  case connecting(TLSContext?)
  /// A stranger has connected: no memory is spent before its first message shows a plausible length.
  case listening(TLSContext)
  /// TLS.
  case secure(TLSSession)
  /// Bytes as they are, within one machine.
  case plain(Traffic)
  /// Closed.
  case none

  /// The longest first message of a client; ours has about 200 bytes.
  static let longestHello = 2048

  /// Judges the first bytes of a TLS client without taking them.
  ///
  /// - Returns: nil while there are too few, whether they can be one of our clients' otherwise.
  static func judgeHello(_ socket: Int32) -> Bool? {
    var bytes = [UInt8](repeating: 0, count: 9)
    // SAFETY: the kernel writes at most nine bytes.
    let count = unsafe recv(socket, &bytes, 9, Int32(MSG_PEEK))
    if count < 0 { return errno == EAGAIN || errno == EINTR ? nil : false }
    if count == 0 { return false }
    return isHello(Array(bytes.prefix(count)))
  }

  /// Record type 22, version 3.x, length u16; message type 1, length u24; in one record.
  static func isHello(_ bytes: [UInt8]) -> Bool? {
    if let first = bytes.first, first != 22 { return false }
    guard bytes.count >= 9 else { return nil }
    let record = Int(bytes[3]) << 8 | Int(bytes[4])
    let message = Int(bytes[6]) << 16 | Int(bytes[7]) << 8 | Int(bytes[8])
    return bytes[1] == 3 && bytes[5] == 1 && record <= longestHello && message + 4 == record
  }

  /// Reads into `buffer`.
  mutating func read(_ socket: Int32, into buffer: inout [UInt8]) -> IOResult {
    switch self {
    case .secure(let session): return session.read(into: &buffer)
    case .plain(var traffic):
      // SAFETY: the kernel writes at most as many bytes as there is room for.
      let count = unsafe recv(socket, &buffer, buffer.count, 0)
      if count == 0 { return .ended }
      guard count > 0 else { return failure(.wantsRead) }
      traffic.received += UInt64(count)
      self = .plain(traffic)
      return .moved(count)
    case .connecting, .listening, .none: return .wantsRead
    }
  }

  /// Writes from `bytes`.
  mutating func write(_ socket: Int32, _ bytes: ArraySlice<UInt8>) -> IOResult {
    switch self {
    case .secure(let session): return session.write(bytes)
    case .plain(var traffic):
      // SAFETY: the kernel reads the bytes of the slice.
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe send(socket, buffer.baseAddress, buffer.count, Int32(MSG_NOSIGNAL))
      }
      guard count >= 0 else { return failure(.wantsWrite) }
      traffic.sent += UInt64(count)
      self = .plain(traffic)
      return .moved(count)
    case .connecting, .listening, .none: return .wantsWrite
    }
  }

  /// Bytes on the wire so far.
  var traffic: Traffic {
    switch self {
    case .secure(let session): session.traffic
    case .plain(let traffic): traffic
    case .connecting, .listening, .none: Traffic()
    }
  }

  private func failure(_ blocked: IOResult) -> IOResult {
    let code = errno
    if code == EAGAIN || code == EINTR { return blocked }
    return code == ECONNRESET || code == EPIPE ? .ended : .failed(systemErrorText(code))
  }
}
