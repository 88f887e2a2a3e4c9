// Apache-2.0.
import Codecs
import CommandLineTool
import Synchronization
import Transport
import WireProtocol

/// The tool's end of the administration socket: a request, and the lines of its answer.
final class AdminClient: Sendable {
  /// What the connection has to tell.
  private enum Word: Sendable {
    case connected
    case line(JSONValue)
    case damaged(String)
    case closed(CloseReason)
    case timeIsUp
  }

  /// Words of the connection's thread for the one that waits.
  private final class Inbox: Sendable {
    private let state = Mutex(State())

    private struct State {
      var words: [Word] = []
      var waiter: Latch?
    }

    func put(_ word: Word) {
      state.withLock { state in
        state.words.append(word)
        state.waiter?.open()
      }
    }

    func take() -> Word {
      while true {
        let latch = Latch()
        let word = state.withLock { state -> Word? in
          state.waiter = latch
          return state.words.isEmpty ? nil : state.words.removeFirst()
        }
        if let word { return word }
        latch.wait()
      }
    }
  }

  private let inbox: Inbox
  private let transport: TransportClient

  /// Connects to the server of a folder; nil where none runs.
  init?(_ folder: ServerFolder) throws(CommandFailure) {
    let inbox = Inbox()
    self.inbox = inbox
    do throws(TransportError) {
      transport = try TransportClient(
        .adminSocket(folder.socket),
        identity: nil,
        limit: { Message.limit($0, from: .server) },
        onEvent: { event in
          switch event {
          case .connected: inbox.put(.connected)
          case .received(_, let kind, let body, _): inbox.put(Self.word(kind, body))
          case .announced, .backpressure: break
          case .closed(_, let reason, _): inbox.put(.closed(reason))
          }
        }
      )
    } catch {
      throw CommandFailure("\(error)")
    }
    transport.connect()
    guard case .connected = inbox.take() else { return nil }
  }

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

  /// Has `receive` give up after so long.
  func giveUp(after limit: Duration?) {
    guard let limit else { return }
    transport.schedule(after: limit) { [inbox] in inbox.put(.timeIsUp) }
  }

  /// Sends a request.
  func send(_ command: String, _ members: [JSONValue.Member] = []) {
    let message = Message.admin(.object([.init("command", .string(command))] + members))
    transport.send(kind: message.kind.rawValue, body: message.body)
  }

  /// The next line of the answer; what the server refuses is thrown in its words.
  func receive() throws(CommandFailure) -> JSONValue {
    switch inbox.take() {
    case .line(let line):
      if case .string(let text)? = line["error"] { throw CommandFailure(text) }
      return line
    case .connected: return try receive()
    case .damaged(let reason):
      throw CommandFailure("the server's answer cannot be read: \(reason)", code: .connection)
    case .closed(let reason):
      throw CommandFailure("the server is gone: \(reason)", code: .connection)
    case .timeIsUp: throw CommandFailure("the time limit has passed", code: .timeout)
    }
  }

  /// A request with an answer of one line.
  func ask(
    _ command: String,
    _ members: [JSONValue.Member] = []
  ) throws(CommandFailure) -> JSONValue {
    send(command, members)
    return try receive()
  }

  private static func word(_ kind: UInt8, _ body: [UInt8]) -> Word {
    do throws(CodecError) {
      guard case .reply(let line) = try Message(kind: kind, body: body) else {
        return .damaged("kind \(kind)")
      }
      return .line(line)
    } catch {
      return .damaged("\(error)")
    }
  }
}
