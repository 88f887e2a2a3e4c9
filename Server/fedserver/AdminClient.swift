// Apache-2.0.
import Codecs
import CommandLineTool
import Glibc
import WireProtocol

/// The tool's end of the administration socket: a request, and the lines of its answer.
struct AdminClient: ~Copyable {
  private let socket: Int32
  private var decoder = FrameDecoder { kind in
    // Below 16 are the connection's own kinds: heartbeats and goodbye.
    kind < 16 ? 4096 : Message.limit(kind, from: .server)
  }
  private var waiting: [Frame] = []

  private static let ping: UInt8 = 1
  private static let pong: UInt8 = 2
  private static let goodbye: UInt8 = 3
  /// The server takes a peer that is silent for longer than thrice this for dead.
  private static let heartbeat: Int32 = 30_000

  /// Connects to the server of a folder; nil where none runs.
  init?(_ folder: ServerFolder) throws(CommandFailure) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let path = Array(folder.socket.utf8)
    // One byte stays zero, the end of the text.
    let capacity = MemoryLayout.size(ofValue: address.sun_path) - 1
    guard path.count <= capacity else {
      throw CommandFailure("\(folder.socket): a socket's path has at most \(capacity) bytes")
    }
    // SAFETY: the path fits, as just checked.
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path) }
    let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw CommandFailure("socket: \(ServerFolder.systemReason())") }
    // SAFETY: a sockaddr_un seen as the sockaddr it begins with, for the length it has.
    let code = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard code == 0 else {
      let isAbsent = errno == ENOENT || errno == ECONNREFUSED
      let reason = ServerFolder.systemReason()
      _ = close(descriptor)
      if isAbsent { return nil }
      throw CommandFailure("\(folder.socket): \(reason)", code: .connection)
    }
    socket = descriptor
  }

  deinit { _ = close(socket) }

  /// Connects, or says how to start a server.
  static func open(_ folder: ServerFolder) throws(CommandFailure) -> AdminClient {
    guard let client = try AdminClient(folder) else {
      throw CommandFailure(
        "no server runs on \(folder.path); start one with fedserver run --dir \(folder.path)",
        code: .connection
      )
    }
    return client
  }

  /// Sends a request.
  func send(_ command: String, _ members: [JSONValue.Member] = []) throws(CommandFailure) {
    let message = Message.admin(.object([.init("command", .string(command))] + members))
    try write(Frame.packed(kind: message.kind.rawValue, body: message.body).encoded)
  }

  /// The next line of the answer; what the server refuses is thrown in its words.
  ///
  /// - Parameter deadline: when to give up waiting.
  mutating func receive(
    until deadline: ContinuousClock.Instant? = nil
  ) throws(CommandFailure) -> JSONValue {
    while true {
      while !waiting.isEmpty {
        if let line = try take(waiting.removeFirst()) { return line }
      }
      try fill(until: deadline)
    }
  }

  /// A request with an answer of one line.
  mutating func ask(
    _ command: String,
    _ members: [JSONValue.Member] = []
  ) throws(CommandFailure) -> JSONValue {
    try send(command, members)
    return try receive()
  }

  private func take(_ frame: Frame) throws(CommandFailure) -> JSONValue? {
    switch frame.kind {
    case Self.ping:
      try write(Frame(kind: Self.pong, body: []).encoded)
      return nil
    case Self.pong: return nil
    case Self.goodbye: throw CommandFailure("the server is stopping", code: .connection)
    default: break
    }
    let message: Message
    do {
      let limit = Message.limit(frame.kind, from: .server) ?? 0
      message = try Message(kind: frame.kind, body: try frame.content(limit: limit))
    } catch {
      throw CommandFailure("the server's answer cannot be read: \(error)", code: .connection)
    }
    guard case .reply(let line) = message else { return nil }
    if case .string(let text)? = line["error"] { throw CommandFailure(text) }
    return line
  }

  /// Waits for bytes, with a sign of life every while.
  private mutating func fill(until deadline: ContinuousClock.Instant?) throws(CommandFailure) {
    var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    var patience = Self.heartbeat
    if let deadline {
      let left = (deadline - .now) / .milliseconds(1)
      guard left > 0 else { throw CommandFailure("the time limit has passed", code: .timeout) }
      patience = Int32(min(Double(patience), left.rounded(.up)))
    }
    // SAFETY: one entry of a local.
    let ready = unsafe poll(&entry, 1, patience)
    if ready < 0 {
      guard errno == EINTR else { throw CommandFailure("poll: \(ServerFolder.systemReason())") }
      return
    }
    if ready == 0 {
      try write(Frame(kind: Self.ping, body: []).encoded)
      return
    }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    // SAFETY: the array holds as many bytes as read may write.
    let count = unsafe read(socket, &bytes, bytes.count)
    guard count > 0 else {
      throw CommandFailure("the server closed the connection", code: .connection)
    }
    do {
      waiting += try decoder.feed(bytes[..<count])
    } catch {
      throw CommandFailure("the server's answer cannot be read: \(error)", code: .connection)
    }
  }

  private func write(_ bytes: [UInt8]) throws(CommandFailure) {
    var done = 0
    while done < bytes.count {
      // SAFETY: the pointer and count describe the rest of the array, alive within the closure.
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.write(
          socket,
          buffer.baseAddress.map { unsafe $0 + done },
          buffer.count - done
        )
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw CommandFailure("the server closed the connection", code: .connection)
      }
      done += count
    }
  }
}
