// Apache-2.0.
import CommandLineTool
import Glibc
import Synchronization
import Telemetry
import Transport
import WireProtocol

/// Many idle clients in a process of their own, and what the server spends on them.
enum TLSCrowd {
  /// Measures the server's memory with `count` clients connected and idle.
  static func measure(
    _ count: Int,
    _ bench: TLSBench,
    in folder: String,
    _ console: Console
  ) throws {
    try allowDescriptors(count + 200)
    var tokens = ""
    for index in 0..<count {
      let token = try bench.authority.issueToken(
        name: "idle-\(index)",
        addresses: bench.server.addresses
      )
      tokens += token.text + "\n"
    }
    try write(tokens, to: "\(folder)/tokens")
    let peers = Mutex<[PeerID]>([])
    let (ready, connected, echoed, far) = (Latch(), Latch(), Latch(), Latch())
    let (left, short, long) = (Counter(count), Counter(count), Counter(count))
    bench.whenHeard { event in
      switch event {
      case .connected(let peer, .client(let name, _), _) where name == "conductor":
        // All have enrolled; they connect once the memory without them is known.
        ready.open()
        peers.withLock { $0.insert(peer, at: 0) }
      case .connected(let peer, _, _):
        peers.withLock { $0.append(peer) }
        if left.count() { connected.open() }
      case .received(_, _, let body, _):
        if body.count < 100 {
          if short.count() { echoed.open() }
        } else if long.count() {
          far.open()
        }
      default: break
      }
    }
    let conductor = try bench.authority.issueToken(
      name: "conductor",
      addresses: bench.server.addresses
    )
    try write(conductor.text, to: "\(folder)/conductor")
    let child = try spawn(["tls", "--crowd", folder])
    let begun = ContinuousClock.now
    ready.wait()
    let enrolling = (ContinuousClock.now - begun).inSeconds
    ReportRow("enrolments with keys, records and files synced", Double(count) / enrolling, "/s")
      .write(to: console)
    let before = residentBytes()
    let starter = peers.withLock { $0.removeFirst() }
    bench.server.send(to: starter, Frame(kind: 33, body: []))
    connected.wait()
    report("connected", count, since: before, console)
    for (size, latch) in [(64, echoed), (16 << 10, far)] {
      let frame = Frame(kind: 33, body: [UInt8](repeating: 5, count: size))
      for peer in peers.withLock({ $0 }) { bench.server.send(to: peer, frame) }
      latch.wait()
      report("after an echo of \(size) B each", count, since: before, console)
    }
    let closing = peers.withLock { $0 } + [starter]
    for peer in closing { bench.server.close(peer, Goodbye(.leaving, "")) }
    var status: Int32 = 0
    // SAFETY: the kernel writes one number.
    while unsafe waitpid(child, &status, 0) < 0, errno == EINTR {}
    bench.whenHeard(nil)
    guard status == 0 else { throw CommandFailure("the clients failed") }
  }

  private static func report(_ what: String, _ count: Int, since: Double, _ console: Console) {
    ReportRow(
      "server memory an idle client of \(count), \(what)",
      (residentBytes() - since) / Double(count) / 1024,
      "KiB",
      floor: ("allowed", 32)
    ).write(to: console)
  }

  /// The clients' process: enrols all, says so, connects them on a word, echoes, ends with the server.
  static func run(in folder: String) throws -> ExitCode {
    let tokens = try lines("\(folder)/tokens")
    try allowDescriptors(tokens.count * 6 + 200)
    let identities = try tokens.enumerated().map { index, token in
      try ClientIdentity.join(token: token, folder: "\(folder)/\(index)")
    }
    let conductor = try ClientIdentity.join(
      token: try lines("\(folder)/conductor")[0],
      folder: "\(folder)/starter"
    )
    let (go, over, left) = (Latch(), Latch(), Counter(tokens.count))
    let starter = try TransportClient(
      .server(conductor.addresses),
      identity: conductor,
      limit: { _ in 1024 },
      onEvent: { if case .received = $0 { go.open() } }
    )
    starter.connect()
    go.wait()
    var clients: [TransportClient] = []
    for identity in identities { clients.append(try client(identity, left, over)) }
    for client in clients { client.connect() }
    over.wait()
    for client in clients + [starter] { client.stop() }
    return .ok
  }

  private static func client(
    _ identity: ClientIdentity,
    _ left: Counter,
    _ over: Latch
  ) throws -> TransportClient {
    let relay = TLSBench.Relay()
    let client = try TransportClient(
      .server(identity.addresses),
      identity: identity,
      limit: { _ in 1 << 20 },
      onEvent: { relay.tell($0) }
    )
    relay.set { [weak client] event in
      switch event {
      case .received(_, _, let body, _): client?.send(Frame(kind: 20, body: body))
      case .closed: if left.count() { over.open() }
      default: break
      }
    }
    return client
  }

  // MARK: The system

  /// Bytes of this process that are in memory.
  private static func residentBytes() -> Double {
    let text = (try? lines("/proc/self/statm").first) ?? ""
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
    return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
  }

  static func allowDescriptors(_ count: Int) throws {
    var limit = rlimit()
    let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    // SAFETY: the kernel reads and writes the limit.
    _ = unsafe getrlimit(kind, &limit)
    guard limit.rlim_cur < UInt(count) else { return }
    limit.rlim_cur = min(UInt(count), limit.rlim_max)
    guard limit.rlim_cur == UInt(count), unsafe setrlimit(kind, &limit) == 0 else {
      throw CommandFailure("needs \(count) open files; see ulimit -n", code: .usage)
    }
  }

  private static func spawn(_ words: [String]) throws -> pid_t {
    var process: pid_t = 0
    // SAFETY: the copies live until the call is over.
    let copies = unsafe (["fedbench"] + words).map { unsafe strdup($0) }
    defer { unsafe copies.forEach { unsafe free($0) } }
    let code = unsafe posix_spawn(
      &process,
      "/proc/self/exe",
      nil,
      nil,
      copies + [nil],
      environ
    )
    guard code == 0 else { throw CommandFailure("cannot start the clients") }
    return process
  }

  private static func lines(_ path: String) throws -> [String] {
    guard let file = unsafe fopen(path, "r") else { throw CommandFailure("cannot read \(path)") }
    defer { unsafe fclose(file) }
    var (found, line) = ([String](), [CChar](repeating: 0, count: 8192))
    // SAFETY: fgets writes at most what there is room for, zero-terminated.
    while unsafe fgets(&line, Int32(line.count), file) != nil {
      let bytes = line.prefix { $0 != 0 && $0 != 10 }.map(UInt8.init(bitPattern:))
      found.append(String(decoding: bytes, as: UTF8.self))
    }
    return found
  }

  private static func write(_ text: String, to path: String) throws {
    guard let file = unsafe fopen(path, "w") else { throw CommandFailure("cannot write \(path)") }
    unsafe fputs(text, file)
    unsafe fclose(file)
  }

  /// Takes a folder away with everything in it.
  static func remove(_ path: String) {
    if let folder = unsafe opendir(path) {
      while let entry = unsafe readdir(folder) {
        // SAFETY: the name is zero-terminated within the entry, which lives until the next readdir.
        let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
          unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { remove("\(path)/\(name)") }
      }
      unsafe closedir(folder)
      _ = unsafe rmdir(path)
    } else {
      _ = unsafe unlink(path)
    }
  }
}
