// Apache-2.0.
import Codecs
import CommandLineTool
import Coordination
import FederatedCore
import Participation
import RunLedger
import Synchronization
import Telemetry
import Transport
import WireProtocol

/// The production service over loopback TLS in this process, with a model that is none.
final class LoadServer {
  let server: TransportServer
  let authority: CertificateAuthority
  private let service: CoordinationService
  private let admin: TransportClient
  private let adminIsThere = Latch()
  private let loops: [EventLoop]

  /// A server with its ledger in `folder` and its keys in `keys`.
  init(folder: String, keys: String, model: Preparation, _ meter: LoadMeter) throws {
    authority = try CertificateAuthority.create(in: keys)
    let (coordination, disk) = (try EventLoop(), try EventLoop())
    let service = CoordinationService(
      try CoordinatorMachine(),
      ledger: try Ledger(path: "\(folder)/ledger.sqlite"),
      authority: authority,
      advertised: [],
      models: IdleModel(model),
      loops: (coordination, disk),
      log: .silent
    ) { report, _ in meter.made(report) }
    self.service = service
    let socket = "\(folder)/admin.sock"
    server = try TransportServer(
      ServerConfiguration(
        addresses: [SocketAddress(host: "127.0.0.1", port: 0)],
        adminSocket: socket
      ) { kind, identity in
        switch identity {
        case .client: Message.limit(kind, from: .client)
        case .administrator: Message.limit(kind, from: .tool)
        case .server, .stranger: nil
        }
      },
      authority: authority
    ) { [names = LoadNames()] event in
      names.note(event, meter)
      service.transport(event)
    }
    service.start(server)
    admin = try TransportClient(
      .adminSocket(socket),
      identity: nil,
      limit: { Message.limit($0, from: .server) },
      onEvent: { [adminIsThere] event in if case .connected = event { adminIsThere.open() } }
    )
    loops = [coordination, disk]
    admin.connect()
  }

  /// Hands in a run.
  func submit(_ configuration: JSONValue) {
    adminIsThere.wait()
    admin.send(
      .admin(
        .object([
          .init("command", .string("submit")), .init("configuration", configuration),
        ])
      )
    )
  }

  /// Takes no more results in, lets the disk finish and ends.
  func stop() {
    let quiet = Latch()
    service.drain { quiet.open() }
    quiet.wait()
    admin.stop()
    server.shutdown(retryAfter: .seconds(60))
    for loop in loops { loop.stop() }
  }
}

/// Whose connection is whose, as the server's event loops see it.
private final class LoadNames: Sendable {
  private let names = Mutex<[PeerID: String]>([:])

  func note(_ event: TransportEvent, _ meter: LoadMeter) {
    switch event {
    case .connected(let peer, .client(let name, _), _): names.withLock { $0[peer] = name }
    case .received(let peer, Message.Kind.result.rawValue, _, _):
      if let name = names.withLock({ $0[peer] }) { meter.arrived(name) }
    case .closed(let peer, _, _): names.withLock { $0[peer] = nil }
    default: break
    }
  }
}

/// A model without weights.
private struct IdleModel: ModelWork {
  let model: Preparation

  init(_ model: Preparation) { self.model = model }

  func prepare(
    _ run: UInt32,
    _ configuration: RunConfiguration,
    then answer: @escaping @Sendable (Result<PreparedModel, PreparationFailure>) -> Void
  ) {
    answer(.success(PreparedModel(base: model.base, blocks: model.blocks)))
  }

  func evaluate(
    _ run: UInt32,
    _ updates: [WeightUpdate],
    then answer: @escaping @Sendable (Result<VersionScore, PreparationFailure>) -> Void
  ) {
    answer(.failure(PreparationFailure("no model")))
  }

  func export(
    _ configuration: RunConfiguration,
    base: Digest,
    _ updates: [WeightUpdate],
    to directory: String,
    then answer: @escaping @Sendable (Result<String, PreparationFailure>) -> Void
  ) {
    answer(.failure(PreparationFailure("no model")))
  }
}
