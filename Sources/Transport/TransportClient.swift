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
/// Its event loop has a thread of its own, unless it is given one, on which events are told. All methods may be called from any
/// thread. A connection that fails or ends is told as `closed`; when to `connect` again is for the
/// caller to say, with `ReconnectPolicy` and `schedule`.
public final class TransportClient: Sendable {
  private let client: ClientLoop
  private let ownsLoop: Bool
  private let isStopped = Atomic<Bool>(false)

  /// A client that is not connected yet.
  ///
  /// - Parameters:
  ///   - identity: what to show; nil only for the administration socket.
  ///   - limit: the greatest body in bytes of a kind from 16 on that the server may send.
  ///   - transfers: what may come in chunks; nil: nothing.
  ///   - loop: the thread to work on, beside others; nil for one of its own.
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
    loop: EventLoop? = nil,
    onRenewed: @escaping @Sendable (ClientIdentity) -> Void = { _ in },
    onEvent: @escaping @Sendable (TransportEvent) -> Void
  ) throws(TransportError) {
    if case .server = target, identity == nil {
      throw .certificate("no identity; run `fedclient join` first")
    }
    let own: EventLoop
    if let loop { own = loop } else { own = try EventLoop(time: time) }
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
      loop: own
    )
    ownsLoop = loop == nil
  }

  /// Tries to connect, unless there is a connection; `connected` or `closed` will be told.
  public func connect() { client.loop.submit { [client] in client.connect() } }

  /// Sends a message; dropped where there is no connection.
  public func send(kind: UInt8, body: [UInt8]) { send(Frame.packed(kind: kind, body: body)) }

  /// Sends a frame; dropped where there is no connection.
  public func send(_ frame: Frame) { onLoop { $0.current?.send(frame) } }

  /// Sends a message in chunks that the server asks for; dropped where there is no connection, or where
  /// the same message is under way.
  public func send(kind: UInt8, pieces: [MessagePiece]) {
    onLoop { $0.current?.send(kind, pieces) }
  }

  /// Takes back the messages of a kind that travel in chunks and are not through yet.
  public func withdraw(kind: UInt8) { onLoop { $0.current?.withdraw(kind) } }

  /// Has `work` done on the loop's thread.
  func onLoop(_ work: @escaping @Sendable (ClientLoop) -> Void) {
    client.loop.submit { [client] in work(client) }
  }

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
    if ownsLoop { client.loop.stop() }
  }
}
