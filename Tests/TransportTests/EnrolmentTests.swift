// Apache-2.0.
import Codecs
import Synchronization
import Telemetry
import TestSupport
import Testing
import WireProtocol

@testable import Transport

@Suite(.timeLimit(.minutes(10)))
struct EnrolmentTests {
  @Test func `a token that was used is refused to another key, by a server started anew as well`()
    async throws
  {
    let folder = TemporaryFolder()
    let path = "\(folder.path)/authority"
    var text = ""
    do {
      let server = try LoopbackServer(try CertificateAuthority.create(in: path), in: folder)
      let token = try server.authority.issueToken(name: "alice", addresses: [server.address])
      text = token.text
      _ = try ClientIdentity.join(token: text, folder: "\(folder.path)/alice")
      expectRefusal("used already", text, "\(folder.path)/second")
      server.server.shutdown(retryAfter: nil)
    }
    let authority = try CertificateAuthority.open(in: path)
    let old = try EnrolmentToken(text).addresses[0]
    let server = try LoopbackServer(authority, in: folder, at: old)
    expectRefusal("used already", text, "\(folder.path)/third")
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `a join whose answer was lost goes on with the same token and the same key`()
    async throws
  {
    let server = try LoopbackServer()
    let token = try server.authority.issueToken(name: "bob", addresses: [server.address])
    // The first attempt: the key is on disk, the token spent, the answer never came.
    let folder = "\(server.folder.path)/bob"
    try DurableFile.makeFolder(folder)
    let key = try PrivateKey.generate()
    try DurableFile.write(Array(try key.pem().utf8), to: "\(folder)/client.key")
    let lost = try server.authority.redeem(
      secret: token.secret,
      request: try CertificateRequest.make(for: key)
    )
    let identity = try ClientIdentity.join(token: token.text, folder: folder)
    #expect(identity.certificate.serial == lost.serial)
    #expect(try ClientIdentity(folder: folder).name == "bob")
    #expect(throws: TransportError.self) {
      try ClientIdentity.join(token: token.text, folder: folder)
    }
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `an expired token is refused by the server, whatever the client's clock says`()
    async throws
  {
    let wall = ManualClock(TimeSource.wall.now)
    let server = try LoopbackServer(wall: wall.source)
    let token = try server.authority.issueToken(
      name: "carol",
      addresses: [server.address],
      lifetime: .seconds(60)
    )
    let behind = wall.source.now
    wall.advance(.seconds(61))
    expectRefusal("expired", token.text, "\(server.folder.path)/a", TimeSource { behind })
    // A client whose clock is right does not even ask.
    let now = wall.source
    #expect(throws: TransportError.self) {
      try ClientIdentity.join(token: token.text, folder: "\(server.folder.path)/b", wall: now)
    }
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `while the disk of the authority is waited for, everybody else is served`()
    async throws
  {
    let folder = TemporaryFolder()
    let made = try CertificateAuthority.create(in: "\(folder.path)/authority")
    let key = try PrivateKey(pem: try DurableFile.text("\(folder.path)/authority/ca.key"))
    let registry = SlowRegistry()
    let authority = try CertificateAuthority(
      certificate: made.certificate,
      key: key,
      server: { _ throws(TransportError) in made.serverCredentials },
      registry: registry,
      time: .wall,
      clientLifetime: .seconds(3600)
    )
    // One loop: who waits on it keeps all others waiting.
    let server = try LoopbackServer(authority, in: folder, loops: 1)
    let (alice, bob) = (try server.enrol("alice"), try server.enrol("bob"))
    let token = try authority.issueToken(name: "carol", addresses: [server.address]).text
    let events = EventQueue()
    let first = try server.client(alice, events: events)
    first.connect()
    _ = await events.connected()
    registry.block()
    let joining = try EventLoop()
    let joined = Latch()
    joining.submit {
      _ = try? ClientIdentity.join(token: token, folder: "\(folder.path)/carol")
      joined.open()
    }
    await until { registry.isWaiting }
    // Those who are there are heard, and others come in.
    first.send(kind: 20, body: [7])
    #expect(await server.events.received().body == [7])
    let second = try server.client(bob, events: events)
    second.connect()
    _ = await events.connected()
    #expect(authority.list().map(\.standing) == [.enrolled, .enrolled, .invited])
    registry.release()
    joined.wait()
    #expect(authority.list().map(\.standing) == [.enrolled, .enrolled, .enrolled])
    for client in [first, second] { client.stop() }
    joining.stop()
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `a revoked token is refused`() async throws {
    let server = try LoopbackServer()
    let token = try server.authority.issueToken(name: "dora", addresses: [server.address])
    #expect(try server.server.revoke("dora"))
    expectRefusal("revoked", token.text, "\(server.folder.path)/dora")
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `the secret is told to nobody but the server of the token`() async throws {
    let (genuine, other) = (try LoopbackServer(), try LoopbackServer())
    let token = try genuine.authority.issueToken(name: "erin", addresses: [other.address])
    #expect(
      throws: TransportError.certificate(
        "this is not the server of the token: its authority is another one"
      )
    ) {
      try ClientIdentity.join(token: token.text, folder: "\(other.folder.path)/erin")
    }
    #expect(genuine.authority.list().map(\.standing) == [.invited])
    for server in [genuine, other] { server.server.shutdown(retryAfter: nil) }
  }

  @Test func `a server that shows the authority but is not certified by it learns no secret`()
    async throws
  {
    let genuine = try LoopbackServer()
    let folder = TemporaryFolder()
    // Anybody can read the authority's certificate off the wire; without its key it is worth nothing.
    let key = try PrivateKey.generate()
    let selfMade = try CertificateIssuer(authority: nil).issue(
      .server,
      name: "server",
      for: key,
      from: TimeSource.wall.now - .seconds(60),
      until: TimeSource.wall.now + .seconds(3600)
    )
    let registry = RecordingRegistry()
    let pretender = try CertificateAuthority(
      certificate: genuine.authority.certificate,
      key: key,
      server: { [root = genuine.authority.certificate] _ throws(TransportError) in
        try Credentials(authority: root, certificate: selfMade, key: key)
      },
      registry: registry,
      time: .wall,
      clientLifetime: .seconds(3600)
    )
    let impostor = try LoopbackServer(pretender, in: folder)
    let token = try genuine.authority.issueToken(name: "frank", addresses: [impostor.address])
    #expect(
      throws: TransportError.certificate(
        "the server's certificate is not of its authority, or past its time"
      )
    ) { try ClientIdentity.join(token: token.text, folder: "\(folder.path)/frank") }
    for server in [genuine, impostor] { server.server.shutdown(retryAfter: nil) }
  }

  @Test func `of a token's addresses the first that answers is taken`() async throws {
    let server = try LoopbackServer()
    // Port 1 of this machine: nobody listens.
    let dead = SocketAddress(host: "127.0.0.1", port: 1)
    let token = try server.authority.issueToken(name: "gina", addresses: [dead, server.address])
    let identity = try ClientIdentity.join(
      token: token.text,
      folder: "\(server.folder.path)/gina"
    )
    let events = EventQueue()
    let client = try TransportClient(
      .server(identity.addresses),
      identity: identity,
      limit: { _ in nil },
      onEvent: events.handler
    )
    client.connect()
    #expect(await events.connected().1 == .server)
    client.stop()
    server.server.shutdown(retryAfter: nil)
  }

  @Test func `who enrols under a taken name takes the place of the older holder`() async throws {
    let server = try LoopbackServer()
    let first = try server.enrol("hugo")
    let token = try server.authority.issueToken(name: "hugo", addresses: [server.address])
    let second = try ClientIdentity.join(
      token: token.text,
      folder: "\(server.folder.path)/hugo2"
    )
    let events = EventQueue()
    let old = try server.client(first, events: events)
    old.connect()
    guard case .goodbye(let words) = await events.closed() else {
      Issue.record("no goodbye")
      return
    }
    #expect(words.code == .refused)
    #expect(words.text.contains("enrolled anew"))
    let new = try server.client(second, events: events)
    new.connect()
    #expect(await events.connected().1 == .server)
    old.stop()
    new.stop()
    server.server.shutdown(retryAfter: nil)
  }

  /// Expects that the server says no in words that contain `words`.
  func expectRefusal(
    _ words: String,
    _ token: String,
    _ folder: String,
    _ wall: TimeSource = .wall
  ) {
    do throws(TransportError) {
      _ = try ClientIdentity.join(token: token, folder: folder, wall: wall)
      Issue.record("the token was taken")
    } catch {
      guard case .refused(let text) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(text.contains(words), "\(text)")
    }
  }
}

/// A registry whose disk takes as long as a test wants.
final class SlowRegistry: ClientRegistry {
  private let gate = Mutex<(isBlocked: Bool, isWaiting: Bool)>((false, false))
  private let latch = Latch()

  var isWaiting: Bool { gate.withLock { $0.isWaiting } }

  func block() { gate.withLock { $0.isBlocked = true } }

  func release() { latch.open() }

  func records() throws(TransportError) -> [RegistryRecord] { [] }

  func append(_ record: RegistryRecord) throws(TransportError) {
    let isBlocked = gate.withLock { gate in
      gate.isWaiting = gate.isBlocked
      return gate.isBlocked
    }
    if isBlocked { latch.wait() }
  }
}

/// A registry in memory.
final class RecordingRegistry: ClientRegistry {
  private let all = Mutex<[RegistryRecord]>([])

  func records() throws(TransportError) -> [RegistryRecord] { all.withLock { $0 } }

  func append(_ record: RegistryRecord) throws(TransportError) {
    all.withLock { $0.append(record) }
  }
}
