// Apache-2.0.
import Synchronization
public import Telemetry
public import WireProtocol

/// Where a client connects to.
public enum ClientTarget: Sendable, Equatable {
  /// The server over TLS; addresses are tried in order.
  case server([SocketAddress])
  /// The administration socket of a server on this machine, without TLS.
  case adminSocket(String)
}

/// One connection at a time to a server.
///
/// Its event loop has a thread of its own, on which events are told. All methods may be called from any
/// thread. A connection that fails or ends is told as `closed`; when to `connect` again is for the
/// caller to say, with `ReconnectPolicy` and `schedule`.
public final class TransportClient: Sendable {
  private let client: ClientLoop
  private let isStopped = Atomic<Bool>(false)

  /// A client that is not connected yet.
  ///
  /// - Parameters:
  ///   - identity: what to show; nil only for the administration socket.
  ///   - limit: the greatest body in bytes of a kind from 16 on that the server may send.
  ///   - transfers: what may come in chunks; nil: nothing.
  ///   - onRenewed: a new certificate has come; keep it with `ClientIdentity.save`.
  ///   - onEvent: told on the loop's thread; must not block.
  public init(
    _ target: ClientTarget,
    identity: ClientIdentity?,
    limits: ConnectionLimits = ConnectionLimits(),
    time: TimeSource = .monotonic,
    wall: TimeSource = .wall,
    limit: @escaping @Sendable (UInt8) -> Int?,
    transfers: TransferSettings? = nil,
    onRenewed: @escaping @Sendable (ClientIdentity) -> Void = { _ in },
    onEvent: @escaping @Sendable (TransportEvent) -> Void
  ) throws(TransportError) {
    if case .server = target, identity == nil {
      throw .certificate("no identity; run `fedclient join` first")
    }
    client = try ClientLoop(
      ClientLoop.Settings(
        target: target,
        limits: limits,
        wall: wall,
        limit: limit,
        transfers: transfers,
        onRenewed: onRenewed,
        onEvent: onEvent
      ),
      identity: identity,
      loop: try EventLoop(time: time)
    )
  }

  /// Tries to connect, unless there is a connection; `connected` or `closed` will be told.
  public func connect() { client.loop.submit { [client] in client.connect() } }

  /// Sends a message; dropped where there is no connection.
  public func send(kind: UInt8, body: [UInt8]) { send(Frame.packed(kind: kind, body: body)) }

  /// Sends a frame; dropped where there is no connection.
  public func send(_ frame: Frame) { client.loop.submit { [client] in client.send(frame) } }

  /// Sends a message in chunks that the server asks for; dropped where there is no connection, or where
  /// the same message is under way.
  public func send(kind: UInt8, pieces: [MessagePiece]) {
    client.loop.submit { [client] in client.send(kind, pieces) }
  }

  /// Takes back the messages of a kind that travel in chunks and are not through yet.
  public func withdraw(kind: UInt8) { client.loop.submit { [client] in client.withdraw(kind) } }

  /// Says goodbye and closes the connection.
  public func close(_ goodbye: Goodbye = Goodbye(.leaving, "the client is stopping")) {
    client.loop.submit { [client] in client.leave(goodbye) }
  }

  /// Has `work` done on the loop's thread after `delay`.
  public func schedule(after delay: Duration, _ work: @escaping @Sendable () -> Void) {
    client.loop.schedule(after: delay, work)
  }

  /// Says goodbye, ends the thread and waits for it; no events are told afterwards.
  ///
  /// Not to be called from `onEvent`, whose thread it waits for. A second call does nothing.
  public func stop(_ goodbye: Goodbye = Goodbye(.leaving, "the client is stopping")) {
    precondition(!client.loop.isCurrent, "TransportClient.stop was called from onEvent")
    guard !isStopped.exchange(true, ordering: .relaxed) else { return }
    let latch = Latch()
    client.loop.submit { [client] in client.stop(goodbye, latch) }
    latch.wait()
    client.loop.stop()
  }
}
