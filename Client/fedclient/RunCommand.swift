// Apache-2.0.
import CommandLineTool
import FineTuning
import Glibc
import Participation
import Synchronization
import Telemetry
import Transport
import WireProtocol

let runCommand = Command(
  "run",
  "Take part in the server's runs with data that stays here.",
  options: [
    ClientFolder.option,
    .value("data", "FILE", "The examples: JSON lines, CSV or text, or a folder of them."),
    .value("model", "DIR", "The base model; by default the path that the run names."),
    ModelOptions.threads,
    .value("memory", "SIZE", "Memory for training in runs that fit devices, say 64MiB (no bound)."),
    .flag("once", "Leave when the first run is over, with its outcome as status."),
    .flag("verbose", "Write more to the log."),
  ],
  notes: """
    Connects again for ever, and goes on where it was after a restart. What leaves this machine is what
    the run's method makes of the steps (a byte a step, or a change of the weights that train), the mean
    loss and the number of examples; never an example. With --format json every task done is
    a line on standard output, with its mean loss. SIGTERM and SIGINT stop it; a task at work is done
    again by the next start.
    """
) { arguments, console in
  let resources = LocalResources(
    model: arguments.value("model"),
    data: try arguments.required("data"),
    threads: try arguments.threads(),
    memory: try arguments.memory()
  )
  let folder = try ClientFolder(arguments)
  let identity = try folder.identity()
  guard let lock = try FolderLock(folder) else {
    throw CommandFailure(
      "a client runs in \(folder.path) already; every client needs its own folder"
    )
  }
  let status = StatusLine(console)
  let log = Log(minimum: arguments.isSet("verbose") ? .debug : .info) { status.note($0) }
  // Before any thread begins, so that all of them leave the signals to this one.
  let signals = StopSignals()
  let participation = try EventLoop()
  let training = try EventLoop()
  let store = VersionStore(path: "\(folder.path)/version", log: log)
  let began = ContinuousClock().now
  let host = TrainingHost(
    resources,
    loop: training,
    log: log,
    now: { began.duration(to: ContinuousClock().now) }
  ) { status.show($0) }
  let isOnce = arguments.isSet("once")
  let outcome = Mutex<RunEnd.Outcome?>(nil)
  let service = ParticipationService(
    ParticipantMachine(kept: store.load(), software: "fedclient 0.1"),
    host: host,
    store: store,
    loop: participation,
    log: log
  ) { end in
    guard isOnce else { return }
    outcome.withLock { $0 = end.outcome }
    signals.cancel()
  }
  let storeLoop = try EventLoop()
  let parts = try PartStore(
    folder: "\(folder.path)/parts",
    limits: PartStore.Limits(mostOfOwner: 64, bytes: 4 << 30),
    namesWhole: false,
    loop: storeLoop
  )
  let client = try TransportClient(
    .server(identity.addresses),
    identity: identity,
    limit: { Message.limit($0, from: .server) },
    transfers: TransferSettings(store: parts) { kind, _ in
      Message.transferLimit(kind, from: .server)
    },
    onRenewed: { renewed in
      do throws(TransportError) {
        try renewed.save(in: folder.path)
        log.info("the certificate is renewed: it is valid for \(renewed.certificate.daysLeft) days")
      } catch {
        log.warning("the renewed certificate is not kept: \(error)")
      }
    },
    onEvent: { service.transport($0) }
  )
  log.info("client \(identity.name), folder \(folder.path)")
  service.start(client)
  let signal = signals.wait()
  let quiet = Latch()
  service.stop { quiet.open() }
  quiet.wait()
  client.stop()
  participation.stop()
  training.stop()
  storeLoop.stop()
  _ = consume lock
  if let outcome = outcome.withLock({ $0 }) { return outcome == .failed ? .failed : .ok }
  log.info("stopped")
  return signal == SIGINT ? .interrupted : .ok
}
