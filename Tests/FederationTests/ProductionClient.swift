// Apache-2.0.
import Participation
import Synchronization
import Telemetry
import Transport
import WireProtocol

/// What a log was told.
final class Lines: Sendable {
  private let list = Mutex<[String]>([])

  func add(_ line: String) { list.withLock { $0.append(line) } }

  func contains(_ words: String) -> Bool {
    list.withLock { lines in lines.contains { $0.contains(words) } }
  }
}

/// All of `fedclient run` in this process: connection, participant, training thread, kept version.
final class ProductionClient: Sendable {
  private let service: ParticipationService
  private let transport: TransportClient
  private let loops: [EventLoop]
  /// How a run ended, once told.
  let ends: AsyncStream<RunEnd>
  let lines: Lines

  /// Starts a client that keeps what it must in `folder`.
  init(
    _ identity: ClientIdentity,
    folder: String,
    model: String?,
    data: String,
    threads: Int = 1,
    memory: Int? = nil
  ) throws {
    let (stream, continuation) = AsyncStream<RunEnd>.makeStream()
    ends = stream
    let lines = Lines()
    self.lines = lines
    let log = Log(minimum: .debug) { lines.add($0) }
    let participation = try EventLoop()
    let training = try EventLoop()
    let host = TrainingHost(
      LocalResources(model: model, data: data, threads: threads, memory: memory),
      loop: training,
      log: log,
      // All devices are equally fast, so that no clock decides a bit.
      now: { .zero }
    ) { _ in }
    let store = VersionStore(path: "\(folder)/version", log: log)
    let storeLoop = try EventLoop()
    let parts = try PartStore(
      folder: "\(folder)/parts",
      limits: PartStore.Limits(mostOfOwner: 64),
      namesWhole: false,
      loop: storeLoop
    )
    loops = [participation, training, storeLoop]
    let service = ParticipationService(
      ParticipantMachine(kept: store.load(), software: "test"),
      host: host,
      store: store,
      loop: participation,
      policy: ReconnectPolicy(first: .milliseconds(5), longest: .milliseconds(20)),
      patience: .milliseconds(10),
      log: log
    ) { continuation.yield($0) }
    self.service = service
    transport = try TransportClient(
      .server(identity.addresses),
      identity: identity,
      limit: { Message.limit($0, from: .server) },
      transfers: TransferSettings(store: parts) { kind, _ in
        Message.transferLimit(kind, from: .server)
      },
      onEvent: { service.transport($0) }
    )
    service.start(transport)
  }

  /// Stops as SIGTERM does.
  func stop() {
    let quiet = Latch()
    service.stop { quiet.open() }
    quiet.wait()
    transport.stop()
    for loop in loops { loop.stop() }
  }
}
