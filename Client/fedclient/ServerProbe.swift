// Apache-2.0.
import Codecs
import CommandLineTool
import Synchronization
import Telemetry
import Transport
import WireProtocol

/// One greeting to the server, and how long its answer takes.
final class ServerProbe: Sendable {
  private let identity: ClientIdentity
  private let outcome = Mutex<Result<String, CommandFailure>?>(nil)
  private let client = Mutex<TransportClient?>(nil)
  private let done = Latch()

  init(_ identity: ClientIdentity) { self.identity = identity }

  /// Asks and waits.
  ///
  /// - Throws: `CommandFailure` or `TransportError` where the server cannot be reached or refuses.
  func answer() throws -> String {
    let addresses = identity.addresses.map { "\($0)" }.joined(separator: ", ")
    let client = try TransportClient(
      .server(identity.addresses),
      identity: identity,
      limit: { Message.limit($0, from: .server) },
      onEvent: { [self] in take($0) }
    )
    self.client.withLock { $0 = client }
    let start = TimeSource.monotonic.now
    client.schedule(after: .seconds(10)) { [self] in
      finish(.failure(CommandFailure("no answer from \(addresses) within 10 seconds")))
    }
    client.connect()
    done.wait()
    let milliseconds = (TimeSource.monotonic.now - start) / .milliseconds(1)
    self.client.withLock { $0 = nil }
    client.stop()
    let software = try outcome.withLock { $0 }?.get() ?? "nobody"
    return "\(software) at \(addresses) answers in \(decimal(milliseconds, 1)) ms"
  }

  private func take(_ event: TransportEvent) {
    switch event {
    case .connected:
      let hello = Message.hello(ClientHello(software: "fedclient doctor"))
      client.withLock { $0 }?.send(kind: hello.kind.rawValue, body: hello.body)
    case .received(_, let kind, let body, _):
      do throws(CodecError) {
        guard case .welcome(let welcome) = try Message(kind: kind, body: body) else { return }
        finish(.success(welcome.software))
      } catch {
        finish(.failure(CommandFailure("the server's answer cannot be read: \(error)")))
      }
    case .closed(_, let reason, _):
      finish(.failure(CommandFailure("\(reason)")))
    case .announced, .backpressure: break
    }
  }

  /// The first outcome counts.
  private func finish(_ result: Result<String, CommandFailure>) {
    outcome.withLock { $0 = $0 ?? result }
    done.open()
  }
}
