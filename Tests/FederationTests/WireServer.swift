// Apache-2.0.
import Codecs
import Coordination
import FederatedCore
import RunLedger
import Synchronization
import Telemetry
import Transport
import WireProtocol

/// A model for the quadratic trainer: nothing to load, a loss to evaluate.
struct QuadraticModel: ModelWork {
  let base: Digest

  func prepare(
    _ run: UInt32,
    _ configuration: RunConfiguration,
    then answer: @escaping @Sendable (Result<PreparedModel, PreparationFailure>) -> Void
  ) {
    answer(.success(PreparedModel(base: base, blocks: QuadraticTrainer.blocks)))
  }

  func evaluate(
    _ run: UInt32,
    _ updates: [WeightUpdate],
    then answer: @escaping @Sendable (Result<VersionScore, PreparationFailure>) -> Void
  ) {
    answer(.success(VersionScore(loss: 1, accuracy: nil)))
  }

  func export(
    _ configuration: RunConfiguration,
    base: Digest,
    _ updates: [WeightUpdate],
    to directory: String,
    then answer: @escaping @Sendable (Result<String, PreparationFailure>) -> Void
  ) {
    answer(.failure(PreparationFailure("nothing to export")))
  }
}

/// The production service over loopback TLS in this process; it can stop and start again.
final class WireServer {
  let folder: String
  let authority: CertificateAuthority
  let server: TransportServer
  let service: CoordinationService
  private let loops: (coordination: EventLoop, disk: EventLoop)
  private let reported: Reports

  /// Reports of the rounds, as they came.
  final class Reports: Sendable {
    let list = Mutex<[(RoundReport, RoundReport.Traffic?)]>([])
  }

  var reports: [(RoundReport, RoundReport.Traffic?)] { reported.list.withLock { $0 } }

  /// Starts on a folder, a new one or one that a stopped server left.
  init(
    _ folder: String,
    port: UInt16 = 0,
    models: any ModelWork = QuadraticModel(base: VirtualFederation.base)
  ) throws {
    self.folder = folder
    let path = "\(folder)/authority"
    authority =
      port == 0
      ? try CertificateAuthority.create(in: path) : try CertificateAuthority.open(in: path)
    let ledger = try Ledger(path: "\(folder)/ledger.sqlite")
    var records: [(run: UInt32, records: [LedgerRecord])] = []
    for run in try ledger.runs() { records.append((run, try ledger.records(of: run))) }
    loops = (try EventLoop(), try EventLoop())
    let reported = Reports()
    self.reported = reported
    let service = CoordinationService(
      try CoordinatorMachine(recovering: records),
      ledger: ledger,
      authority: authority,
      advertised: [],
      models: models,
      loops: loops,
      log: .silent
    ) { report, traffic in reported.list.withLock { $0.append((report, traffic)) } }
    self.service = service
    server = try TransportServer(
      ServerConfiguration(
        addresses: [SocketAddress(host: "127.0.0.1", port: port)],
        adminSocket: "\(folder)/admin.sock",
        loops: 1
      ) { kind, identity in
        switch identity {
        case .client: Message.limit(kind, from: .client)
        case .administrator: Message.limit(kind, from: .tool)
        case .server, .stranger: nil
        }
      },
      authority: authority
    ) { [weak service] in service?.transport($0) }
    service.start(server)
  }

  /// A fresh client, enrolled over the wire.
  func enrol(_ name: String) throws -> ClientIdentity {
    let token = try authority.issueToken(name: name, addresses: server.addresses)
    return try ClientIdentity.join(token: token.text, folder: "\(folder)/\(name)")
  }

  /// Stops as SIGTERM does.
  func stop() {
    let quiet = Latch()
    service.drain { quiet.open() }
    quiet.wait()
    server.shutdown(retryAfter: .milliseconds(1))
    loops.coordination.stop()
    loops.disk.stop()
  }
}
