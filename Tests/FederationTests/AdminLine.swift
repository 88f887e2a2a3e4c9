// Apache-2.0.
import Codecs
import Synchronization
import Transport
import WireProtocol

/// The tool's end of the administration socket.
final class AdminLine: Sendable {
  /// The transport's client comes after the closure that calls it.
  private final class Box: Sendable {
    let transport = Mutex<TransportClient?>(nil)
    /// Whether there was a connection.
    let wasOpen = Mutex(false)
  }

  private let transport: TransportClient
  private let box: Box
  private let replies: AsyncStream<JSONValue>

  /// Connects to the server of a folder, as soon as there is one.
  static func open(_ folder: String) async throws -> AdminLine {
    let line = try AdminLine(folder)
    _ = await line.next()
    return line
  }

  private init(_ folder: String) throws {
    let (stream, continuation) = AsyncStream<JSONValue>.makeStream()
    replies = stream
    let box = Box()
    self.box = box
    transport = try TransportClient(
      .adminSocket("\(folder)/admin.sock"),
      identity: nil,
      limit: { Message.limit($0, from: .server) },
      onEvent: { event in
        switch event {
        case .received(_, let kind, let body, _):
          if case .reply(let json)? = try? Message(kind: kind, body: body) {
            continuation.yield(json)
          }
        case .connected:
          box.wasOpen.withLock { $0 = true }
          continuation.yield(.null)
        case .closed:
          if box.wasOpen.withLock({ $0 }) { return continuation.finish() }
          let transport = box.transport.withLock { $0 }
          transport?.schedule(after: .milliseconds(5)) { transport?.connect() }
        case .announced, .backpressure: break
        }
      }
    )
    box.transport.withLock { $0 = transport }
    transport.connect()
  }

  /// Sends a request and returns the first line of the answer, nil where the connection ended.
  func ask(_ command: String, _ members: [JSONValue.Member] = []) async -> JSONValue? {
    let message = Message.admin(.object([.init("command", .string(command))] + members))
    transport.send(kind: message.kind.rawValue, body: message.body)
    return await next()
  }

  /// The next line of an answer.
  func next() async -> JSONValue? {
    for await line in replies { return line }
    return nil
  }

  func stop() {
    transport.stop()
    box.transport.withLock { $0 = nil }
  }
}
