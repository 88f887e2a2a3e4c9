// Apache-2.0.
import Glibc
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Transport

@Suite struct AuthorityTests {
  let folder = TemporaryFolder()
  let wall = ManualClock(.seconds(1_800_000_000))
  let address = SocketAddress(host: "127.0.0.1", port: 7070)

  var path: String { "\(folder.path)/authority" }

  func create() throws -> CertificateAuthority {
    try CertificateAuthority.create(in: path, time: wall.source)
  }

  func request(_ key: PrivateKey) throws -> [UInt8] { try CertificateRequest.make(for: key) }

  @Test func `keys and records are for their owner alone`() throws {
    _ = try create()
    for name in ["ca.key", "server.key", "clients.log"] {
      var found = stat()
      #expect(unsafe stat("\(path)/\(name)", &found) == 0)
      #expect(found.st_mode & 0o777 == 0o600, "\(name)")
    }
  }

  @Test func `an authority is made once and opened by one at a time`() throws {
    let authority = try create()
    #expect(throws: TransportError.self) { try create() }
    #expect(throws: TransportError.self) {
      try CertificateAuthority.open(in: path, time: wall.source)
    }
    withExtendedLifetime(authority) {}
  }

  @Test func `a token is good once, and stays spent when the authority is opened anew`() throws {
    let key = try PrivateKey.generate()
    let other = try PrivateKey.generate()
    var token: EnrolmentToken?
    var serial = ""
    do {
      let authority = try create()
      token = try authority.issueToken(name: "alice", addresses: [address])
      let secret = try #require(token).secret
      let made = try authority.redeem(secret: secret, request: try request(key))
      #expect(made.name == "alice")
      #expect(made.belongs(to: key))
      #expect(made.isValid(under: authority.certificate, at: wall.source.now))
      serial = made.serial
      #expect(throws: TransportError.token("used already; ask for a new one")) {
        try authority.redeem(secret: secret, request: try request(other))
      }
    }
    let authority = try CertificateAuthority.open(in: path, time: wall.source)
    let secret = try #require(token).secret
    #expect(throws: TransportError.token("used already; ask for a new one")) {
      try authority.redeem(secret: secret, request: try request(other))
    }
    // A lost answer is sent again to the key it was for.
    let again = try authority.redeem(secret: secret, request: try request(key))
    #expect(again.serial == serial)
    #expect(authority.list().map(\.standing) == [.enrolled])
  }

  @Test func `tokens end with their time, certificates with theirs`() throws {
    let authority = try create()
    let key = try PrivateKey.generate()
    let token = try authority.issueToken(
      name: "bob",
      addresses: [address],
      lifetime: .seconds(60)
    )
    #expect(authority.list().map(\.standing) == [.invited])
    wall.advance(.seconds(60))
    #expect(authority.list().map(\.standing) == [.expired])
    #expect(throws: TransportError.token("expired; ask for a new one")) {
      try authority.redeem(secret: token.secret, request: try request(key))
    }
    let next = try authority.issueToken(name: "bob", addresses: [address])
    let made = try authority.redeem(secret: next.secret, request: try request(key))
    wall.advance(.seconds(365 * 86_400))
    #expect(!made.isValid(under: authority.certificate, at: wall.source.now))
    #expect(authority.list().map(\.standing) == [.expired])
  }

  @Test func `unknown secrets are turned away whatever comes with them`() throws {
    let authority = try create()
    #expect(throws: TransportError.token("unknown to this server")) {
      try authority.redeem(secret: [UInt8](repeating: 1, count: 16), request: [0xFF])
    }
    #expect(throws: TransportError.token("unknown to this server")) {
      try authority.redeem(secret: [], request: [])
    }
  }

  @Test func `a revoked name has neither certificates nor tokens, until it is invited again`()
    throws
  {
    let authority = try create()
    let key = try PrivateKey.generate()
    let used = try authority.issueToken(name: "carol", addresses: [address])
    let made = try authority.redeem(secret: used.secret, request: try request(key))
    let open = try authority.issueToken(name: "carol", addresses: [address])
    #expect(authority.admission(made) == .admitted)
    #expect(try authority.revoke("carol"))
    #expect(authority.admission(made) != .admitted)
    #expect(throws: TransportError.token("revoked")) {
      try authority.redeem(secret: open.secret, request: try request(key))
    }
    #expect(try !authority.revoke("nobody"))
    let again = try authority.issueToken(name: "carol", addresses: [address])
    let anew = try authority.redeem(secret: again.secret, request: try request(key))
    #expect(authority.admission(anew) == .admitted)
    #expect(authority.admission(made) != .admitted, "the old certificate must not come back")
  }

  @Test func `renewal waits for the later half of a certificate's time`() throws {
    let authority = try create()
    let key = try PrivateKey.generate()
    let token = try authority.issueToken(name: "dora", addresses: [address])
    let made = try authority.redeem(secret: token.secret, request: try request(key))
    #expect(throws: TransportError.self) {
      try authority.renew(made, request: try request(key))
    }
    wall.advance(.seconds(250 * 86_400))
    let next = try authority.renew(made, request: try request(key))
    #expect(next.name == "dora")
    #expect(next.serial != made.serial)
    #expect(authority.admission(made) == .admitted, "until it expires")
    #expect(authority.admission(next) == .admitted)
    #expect(throws: TransportError.self) { try authority.renew(next, request: try request(key)) }
    _ = try authority.revoke("dora")
    #expect(throws: TransportError.self) { try authority.renew(next, request: try request(key)) }
  }

  @Test(arguments: ["", ".x", "-x", "a b", "a/b", "ä", String(repeating: "x", count: 65)])
  func `names that would be trouble in a path or a log are refused`(_ name: String) throws {
    let authority = try create()
    #expect(throws: TransportError.name(name)) {
      try authority.issueToken(name: name, addresses: [address])
    }
  }

  @Test func `a record that could not be kept leaves the token unspent`() throws {
    let registry = FailingRegistry()
    let key = try PrivateKey.generate()
    let root = try CertificateIssuer(authority: nil).issue(
      .authority,
      name: "samara authority",
      for: key,
      from: .zero,
      until: wall.source.now * 2
    )
    let authority = try CertificateAuthority(
      certificate: root,
      key: key,
      server: { _ throws(TransportError) in
        try Credentials(authority: root, certificate: root, key: key)
      },
      registry: registry,
      time: wall.source,
      clientLifetime: .seconds(86_400)
    )
    let token = try authority.issueToken(name: "erin", addresses: [address])
    registry.fails.store(true, ordering: .relaxed)
    let client = try PrivateKey.generate()
    #expect(throws: TransportError.self) {
      try authority.redeem(secret: token.secret, request: try request(client))
    }
    registry.fails.store(false, ordering: .relaxed)
    #expect(authority.list().map(\.standing) == [.invited])
    _ = try authority.redeem(secret: token.secret, request: try request(client))
    #expect(authority.list().map(\.standing) == [.enrolled])
  }
}

/// A registry whose disk fills up.
final class FailingRegistry: ClientRegistry {
  let fails = Atomic<Bool>(false)

  func records() throws(TransportError) -> [RegistryRecord] { [] }

  func append(_ record: RegistryRecord) throws(TransportError) {
    guard !fails.load(ordering: .relaxed) else {
      throw .system(call: "write", subject: "clients.log", code: ENOSPC)
    }
  }
}
