// Apache-2.0.
import Codecs
import CommandLineTool
import Coordination
import Glibc
import RunLedger
import Telemetry
import Transport
import WireProtocol

let runCommand = Command(
  "run",
  "Serve: take in clients, go on with every run that is not over.",
  options: [
    ServerFolder.option,
    .value("listen", "HOST:PORT", "Listen here instead; may be repeated."),
    .value("threads", "N", "Threads of an evaluation; by default all processors."),
    .value("keep-rounds", "N", "Rounds whose payloads of 64 KiB and more are kept (16); 0: all."),
    .value("retry", "SECONDS", "When clients come back after a stop of this server (2)."),
    .flag("verbose", "Write more to the log."),
  ],
  notes: """
    A line a round goes to standard output, the log to standard error. SIGTERM takes no more results
    in, finishes what is being written and says goodbye; after a kill or a power cut the next run
    goes on from the last acknowledged result.
    """
) { arguments, console in
  let folder = try ServerFolder(arguments)
  let settings = try folder.read()
  let processors = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
  let threads = try arguments.integer("threads", in: 1...1024) ?? processors
  let retry = try arguments.integer("retry", in: 0...86_400) ?? 2
  let rounds = try arguments.integer("keep-rounds", in: 0...1_000_000) ?? 16
  let log = Log(minimum: arguments.isSet("verbose") ? .debug : .info) { console.note($0) }
  // Before any thread begins, so that all of them leave the signals to this one.
  let signals = StopSignals(takesHangups: true)
  let authority = try CertificateAuthority.open(in: folder.authority)
  let ledger = try Ledger(path: folder.ledger, blobs: folder.blobs)
  let machine = try CoordinatorMachine(
    recovering: ledger,
    software: "fedserver 0.1",
    retention: rounds > 0 ? Retention(rounds: rounds) : nil
  )
  let storeLoop = try EventLoop()
  let store = try PartStore(folder: folder.blobs, namesWhole: true, loop: storeLoop)
  let loops = (coordination: try EventLoop(), disk: try EventLoop())
  let modelLoop = try EventLoop()
  let service = CoordinationService(
    machine,
    ledger: ledger,
    authority: authority,
    advertised: settings.advertise,
    models: ModelHost(loop: modelLoop, threads: threads, log: log),
    loops: loops,
    log: log
  ) { report, traffic in
    switch console.format {
    case .text: console.write(report.line(traffic))
    case .json: console.write(report.json(traffic).serialized())
    }
  }
  var configuration = ServerConfiguration(
    addresses: try arguments.addresses("listen") ?? settings.listen,
    adminSocket: folder.socket
  ) { kind, identity in
    switch identity {
    case .client: Message.limit(kind, from: .client)
    case .administrator: Message.limit(kind, from: .tool)
    case .server, .stranger: nil
    }
  }
  configuration.transfers = TransferSettings(store: store) { kind, identity in
    if case .client = identity { Message.transferLimit(kind, from: .client) } else { nil }
  }
  configuration.onRefusal = { log.warning("\($0) was not let in: \($1)") }
  configuration.onRenewal = { result in
    switch result {
    case .success: log.info("new connections are shown a new certificate of the server")
    case .failure(let error):
      log.error(
        "the server's certificate cannot be read or renewed; the old one is shown: \(error)"
      )
    }
  }
  let server: TransportServer
  do throws(TransportError) {
    server = try TransportServer(configuration, authority: authority) { service.transport($0) }
  } catch {
    throw CommandFailure("cannot listen: \(error)", code: .connection)
  }
  service.start(server)
  let addresses = server.addresses.map { "\($0)" }.joined(separator: ", ")
  log.info("fedserver listens at \(addresses), folder \(folder.path)")
  let signal = signals.wait {
    log.info("SIGHUP: looking at the certificate again; clients stay connected")
    server.reloadCertificate()
  }
  log.info("stopping: results that arrived are being written")
  let quiet = Latch()
  service.drain { quiet.open() }
  quiet.wait()
  server.shutdown(retryAfter: .seconds(retry))
  for loop in [loops.coordination, loops.disk, storeLoop, modelLoop] { loop.stop() }
  log.info("stopped")
  return signal == SIGINT ? .interrupted : .ok
}
