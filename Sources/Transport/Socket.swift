// Apache-2.0.
import CLinux
import Glibc

/// A file descriptor with one owner; closed when it goes.
struct Descriptor: ~Copyable {
  let number: Int32

  init(_ number: Int32) { self.number = number }

  deinit { _ = close(number) }

  /// Gives the descriptor to somebody who will close it.
  consuming func release() -> Int32 {
    let number = number
    discard self
    return number
  }
}

/// A descriptor that a class owns.
final class DescriptorBox {
  let descriptor: Descriptor

  init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
}

/// A place to listen at or connect to: `host:port`, `[IPv6]:port`.
public struct SocketAddress: Sendable, Equatable, CustomStringConvertible {
  /// Name or number of the host.
  public let host: String
  /// Port; 0 to listen at any free one.
  public let port: UInt16

  /// Reads `host:port`.
  ///
  /// - Throws: `TransportError.badAddress`.
  public init(_ text: String) throws(TransportError) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
    else { throw .badAddress(text) }
    var host = text[..<colon]
    if host.first == "[", host.last == "]" {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      throw .badAddress(text)
    }
    // Neither brackets nor spaces nor control characters are in any host's name.
    let isName = host.utf8.allSatisfy { byte in
      byte > 32 && byte != 127 && byte != UInt8(ascii: "[") && byte != UInt8(ascii: "]")
    }
    guard !host.isEmpty, host.utf8.count <= 255, isName else { throw .badAddress(text) }
    self.host = String(host)
    self.port = port
  }

  /// A host and a port.
  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// `host:port`.
  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// What the resolver makes of the address.
  func resolved(forListening: Bool) throws(TransportError) -> [ResolvedAddress] {
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    unsafe hints.ai_flags = AI_NUMERICSERV | (forListening ? AI_PASSIVE : AI_ADDRCONFIG)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = unsafe getaddrinfo(host, "\(port)", &hints, &list)
    guard code == 0 else {
      throw .tls(attempt: "find \(self)", reason: unsafe String(cString: gai_strerror(code)))
    }
    // SAFETY: the list is the resolver's; it is copied out entry by entry and freed once.
    defer { unsafe freeaddrinfo(list) }
    var found: [ResolvedAddress] = []
    var next = unsafe list
    while let entry = unsafe next {
      let info = unsafe entry.pointee
      if let bytes = unsafe info.ai_addr {
        let raw = unsafe UnsafeRawBufferPointer(start: bytes, count: Int(info.ai_addrlen))
        found.append(unsafe ResolvedAddress(family: info.ai_family, bytes: Array(raw)))
      }
      unsafe next = info.ai_next
    }
    return found
  }
}

/// A socket address as the kernel takes it.
struct ResolvedAddress: Sendable {
  let family: Int32
  let bytes: [UInt8]

  /// The address of a Unix socket.
  static func unix(_ path: String) throws(TransportError) -> ResolvedAddress {
    let path = Array(path.utf8)
    // The kernel's field has 108 bytes, the last of them zero.
    guard path.count < 108, !path.contains(0) else {
      throw .file(
        path: String(decoding: path, as: UTF8.self),
        reason: "too long for a socket; choose a folder with a shorter path"
      )
    }
    let family = unsafe withUnsafeBytes(of: sa_family_t(AF_UNIX)) { unsafe Array($0) }
    return ResolvedAddress(family: AF_UNIX, bytes: family + path + [0])
  }

  /// Calls `bind` or `connect`, which read the address during the call.
  func with(_ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    // SAFETY: the bytes came from the resolver or `unix` and are as long as their count says.
    unsafe bytes.withUnsafeBytes { raw in
      guard let base = raw.baseAddress else { return -1 }
      return unsafe call(base.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
    }
  }
}

extension Descriptor {
  /// A socket that listens, non-blocking.
  static func listening(
    at address: ResolvedAddress,
    named name: String
  ) throws(TransportError) -> Descriptor {
    let socket = try stream(address.family, name)
    if address.family != AF_UNIX { socket.set(SOL_SOCKET, SO_REUSEADDR, 1) }
    guard unsafe address.with({ unsafe bind(socket.number, $0, $1) }) == 0 else {
      throw .lastCall("bind", name)
    }
    guard listen(socket.number, 4096) == 0 else { throw .lastCall("listen", name) }
    return socket
  }

  /// A socket that is being connected: it becomes writable when that is decided.
  static func connecting(
    to address: ResolvedAddress,
    named name: String
  ) throws(TransportError) -> Descriptor {
    let socket = try stream(address.family, name)
    let code = unsafe address.with { unsafe connect(socket.number, $0, $1) }
    guard code == 0 || errno == EINPROGRESS else { throw .lastCall("connect", name) }
    return socket
  }

  private static func stream(_ family: Int32, _ name: String) throws(TransportError) -> Descriptor {
    let number = samara_stream_socket(family)
    guard number >= 0 else { throw .lastCall("socket", name) }
    return Descriptor(number)
  }

  /// Sets an integer option; a socket that refuses one works all the same.
  func set(_ level: Int32, _ option: Int32, _ value: Int32) {
    var value = value
    // SAFETY: the kernel reads four bytes.
    _ = unsafe setsockopt(number, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
  }

  /// The error that a socket keeps for whoever asks; 0 for none.
  var pendingError: Int32 {
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    // SAFETY: the kernel writes four bytes.
    let done = unsafe getsockopt(number, SOL_SOCKET, SO_ERROR, &code, &length)
    return done == 0 ? code : errno
  }

  /// Host and port of this end (`local`) or the other.
  func address(local: Bool) -> SocketAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var host = [CChar](repeating: 0, count: 64)
    var port = [CChar](repeating: 0, count: 8)
    // SAFETY: the kernel writes at most `length` bytes of a sockaddr_storage, getnameinfo at most the
    // sizes it is told, zero-terminated.
    let done = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        let asked =
          local
          ? unsafe getsockname(number, address, &length)
          : unsafe getpeername(number, address, &length)
        guard asked == 0 else { return false }
        let flags = NI_NUMERICHOST | NI_NUMERICSERV
        return unsafe getnameinfo(address, length, &host, 64, &port, 8, flags) == 0
      }
    }
    guard done, let number = UInt16(text(port)) else { return nil }
    return SocketAddress(host: text(host), port: number)
  }

  private func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}

/// `errno` of the call just made.
func lastSystemError() -> Int32 { errno }

/// A system error in words.
func systemErrorText(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
