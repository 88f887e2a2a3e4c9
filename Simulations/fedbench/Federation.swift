// Apache-2.0.
import Codecs
import CommandLineTool
import FederatedCore
import Glibc
import Participation
import SharedRandomness
import Synchronization
import Telemetry
import Transport

/// Thousands of connections in one FedCompass run, all production code but the training.
let federationBenchmark = Command(
  "federation",
  "Clients over TLS on loopback in one FedCompass run: how long an order takes, and what it costs.",
  options: [
    .value("clients", "N", "Clients, each with a connection of its own (2000)."),
    .value("seconds", "S", "How long orders are measured (10)."),
    .value("step-time", "S", "Median seconds of a local step; clients spread log-normally (0.1)."),
    .value("lambda", "F", "How much longer than expected a group is waited for (10)."),
    .value("dir", "DIR", "Folder on the disk of the ledger (.); keys go to /dev/shm."),
    .flag("enrol", "New clients enrol all the while, one after another; keys go to the disk."),
  ]
) { arguments, console in
  let clients = try arguments.integer("clients", in: 1...20_000) ?? 2000
  let seconds = try arguments.integer("seconds", in: 1...3600) ?? 10
  let stepTime = try arguments.number("step-time") ?? 0.1
  let lambda = try arguments.number("lambda") ?? 10
  let folder = "\(arguments.value("dir") ?? ".")/samara-load-\(getpid())"
  let enrols = arguments.isSet("enrol")
  let keys = enrols ? "\(folder)/authority" : "/dev/shm/samara-load-\(getpid())"
  guard unsafe mkdir(folder, 0o700) == 0 else {
    throw CommandFailure("cannot make \(folder)", code: .usage)
  }
  defer { for path in [folder, keys] { TLSCrowd.remove(path) } }
  try TLSCrowd.allowDescriptors(clients * 2 + 200)
  let bench = try FederationBench(clients, stepTime: stepTime, folder: folder, keys: keys)
  let newcomers = "/dev/shm/samara-newcomers-\(getpid())"
  defer { TLSCrowd.remove(newcomers) }
  try bench.connect(console)
  try bench.run(
    lambda: lambda,
    for: .seconds(seconds),
    newcomers: enrols ? newcomers : nil,
    console
  )
  return .ok
}

/// A server, its clients and what they saw.
private final class FederationBench {
  private let meter = LoadMeter()
  private let server: LoadServer
  private var clients: [LoadClient] = []
  private let loops: [EventLoop]
  private let emptyBytes: Int

  init(_ count: Int, stepTime: Double, folder: String, keys: String) throws {
    let model = Preparation(
      base: .sha256(of: [1]),
      examples: 100,
      blocks: [ParameterBlock(name: "w", shape: [1000], range: 0..<1000)]
    )
    let server = try LoadServer(folder: folder, keys: keys, model: model, meter)
    self.server = server
    loops = [try EventLoop(), try EventLoop()]
    let identities = try (0..<count).map { index in
      try ClientIdentity.made(
        by: server.authority,
        name: "client-\(index)",
        addresses: server.server.addresses
      )
    }
    emptyBytes = ResidentMemory.now()
    var stream = RandomStream(key: 1, purpose: .device)
    for (index, identity) in identities.enumerated() {
      // Log-normal: the sum of twelve uniform numbers is near enough to normal.
      let normal = (0..<12).reduce(-6.0) { sum, _ in
        sum + Double.random(in: 0..<1, using: &stream)
      }
      clients.append(
        try LoadClient(
          identity,
          model,
          stepTime: stepTime * exp(0.5 * normal),
          on: loops[index % loops.count],
          meter
        )
      )
    }
  }

  /// Connects all, some at a time: the server takes a crowd of strangers for an attack.
  func connect(_ console: Console) throws {
    let all = clients
    let next = Mutex(min(200, all.count))
    let done = Latch()
    meter.whenConnected { [meter] in
      if meter.now.connected.count == all.count { done.open() }
      let index = next.withLock { next in
        defer { next += 1 }
        return next
      }
      if index < all.count { all[index].connect() }
    }
    let begun = TimeSource.monotonic.now
    for client in all.prefix(200) { client.connect() }
    done.wait()
    let took = (TimeSource.monotonic.now - begun).inSeconds
    ReportRow("connections with both certificates checked", Double(all.count) / took, "/s")
      .write(to: console)
  }

  func run(lambda: Double, for time: Duration, newcomers: String?, _ console: Console) throws {
    server.submit(configuration(lambda: lambda))
    // Everybody has had a first order, and the next: speeds are known, groups are formed.
    wait { $0.orders.count == self.clients.count && $0.orders.values.allSatisfy { $0 > 1 } }
    meter.begin()
    let (begun, spent) = (TimeSource.monotonic.now, Self.processorSeconds())
    if let newcomers {
      try enrol(for: time, in: newcomers, console)
    } else {
      let pause = Latch()
      loops[0].schedule(after: time) { pause.open() }
      pause.wait()
    }
    let seen = meter.now
    let seconds = (TimeSource.monotonic.now - begun).inSeconds
    let busy = Self.processorSeconds() - spent
    let bytes = ResidentMemory.now() - emptyBytes
    server.stop()
    for client in clients { client.stop() }
    for loop in loops { loop.stop() }
    report(seen, seconds, busy, bytes, console)
  }

  private func report(
    _ seen: LoadMeter.Seen,
    _ seconds: Double,
    _ busy: Double,
    _ bytes: Int,
    _ console: Console
  ) {
    let count = Double(clients.count)
    let orders = seen.orders.values.reduce(0, +)
    let rows = [
      ReportRow("clients served", Double(seen.orders.count), "", floor: ("all", count)),
      ReportRow("connections lost, failures", Double(seen.lost + seen.failures), ""),
      ReportRow("orders", Double(orders) / seconds, "/s"),
      ReportRow(
        "dispatch: from the last result needed to the order, median",
        seen.dispatches.quantile(0.5) * 1e3,
        "ms"
      ),
      ReportRow(
        "dispatch, 99 of 100",
        seen.dispatches.quantile(0.99) * 1e3,
        "ms",
        floor: ("allowed", 250)
      ),
      ReportRow("dispatch, longest", seen.dispatches.quantile(1) * 1e3, "ms"),
      ReportRow(
        "result to its acknowledgement, median",
        seen.acknowledgements.quantile(0.5) * 1e3,
        "ms"
      ),
      ReportRow(
        "result to its acknowledgement, 99 of 100",
        seen.acknowledgements.quantile(0.99) * 1e3,
        "ms"
      ),
      ReportRow(
        "own result to next order, the wait for its group in it, median",
        seen.turnarounds.quantile(0.5) * 1e3,
        "ms"
      ),
      ReportRow("processors busy, server and clients", busy / seconds, ""),
      ReportRow("processor time an order, server and client", busy / Double(orders) * 1e6, "us"),
      ReportRow("memory a client, both ends", Double(bytes) / count / 1024, "KiB"),
    ]
    for row in rows { row.write(to: console) }
  }

  /// Has clients enrol over TLS, one after another.
  private func enrol(for time: Duration, in folder: String, _ console: Console) throws {
    guard unsafe mkdir(folder, 0o700) == 0 else {
      throw CommandFailure("cannot make \(folder)", code: .usage)
    }
    let end = TimeSource.monotonic.now + time
    var waits: [Double] = []
    while TimeSource.monotonic.now < end {
      let name = "newcomer-\(waits.count)"
      let token = try server.authority.issueToken(name: name, addresses: server.server.addresses)
      let begun = TimeSource.monotonic.now
      _ = try ClientIdentity.join(token: token.text, folder: "\(folder)/\(name)")
      waits.append((TimeSource.monotonic.now - begun).inSeconds)
    }
    ReportRow("enrolments", Double(waits.count) / (time / .seconds(1)), "/s").write(to: console)
    ReportRow("enrolment, median", waits.quantile(0.5) * 1e3, "ms").write(to: console)
  }

  /// Waits for what the meter will see; nothing else runs on this thread.
  private func wait(_ condition: (LoadMeter.Seen) -> Bool) {
    while !condition(meter.now) {
      let pause = Latch()
      loops[0].schedule(after: .milliseconds(50)) { pause.open() }
      pause.wait()
    }
  }

  private func configuration(lambda: Double) -> JSONValue {
    .object([
      .init("name", .string("load")),
      .init("model", .string("/none")),
      .init("rounds", .integer(1_000_000)),
      .init("seed", .integer(1)),
      .init(
        "algorithm",
        .object([
          .init("name", .string("fedkseed")), .init("seeds", .integer(256)),
          .init("steps", .integer(20)), .init("learning_rate", .number(1e-9)),
        ])
      ),
      .init(
        "schedule",
        .object([
          .init("policy", .string("fedcompass")),
          .init("clients", .integer(Int64(clients.count))),
          .init("q_min", .integer(4)), .init("q_max", .integer(20)),
          .init("lambda", .number(lambda)),
        ])
      ),
    ])
  }

  /// Seconds of processor that this process has taken.
  private static func processorSeconds() -> Double {
    var usage = rusage()
    // SAFETY: the kernel fills the structure.
    _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }
}
