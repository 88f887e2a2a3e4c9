// Apache-2.0.
import Telemetry
import TestSupport
import Testing

@testable import Transport

/// Certificates that are not what they should be, at either end.
@Suite(.timeLimit(.minutes(10)))
struct HostileCertificateTests {
  let server: LoopbackServer
  let now = TimeSource.wall.now

  init() throws { server = try LoopbackServer() }

  /// The server's own authority, key and all.
  func authority() throws -> (certificate: Certificate, key: PrivateKey) {
    let key = try PrivateKey(pem: try DurableFile.text("\(server.folder.path)/authority/ca.key"))
    return (server.authority.certificate, key)
  }

  func issue(
    _ use: CertificateUse,
    _ name: String,
    by authority: (certificate: Certificate, key: PrivateKey)?,
    from: Duration? = nil,
    until: Duration? = nil
  ) throws -> Credentials {
    let key = try PrivateKey.generate()
    let certificate = try CertificateIssuer(authority: authority).issue(
      use,
      name: name,
      for: key,
      from: from ?? now - .seconds(60),
      until: until ?? now + .seconds(3600)
    )
    return try Credentials(
      authority: server.authority.certificate,
      certificate: certificate,
      key: key
    )
  }

  /// Expects that TLS itself turns the holder away: nothing it says is heard.
  func expectRefusedByTLS(_ credentials: Credentials, _ words: String) async throws {
    let before = server.server.connectionCount
    let peer = try RawPeer(server.address)
    // In TLS 1.3 the client is done before the server has judged its certificate.
    try peer.shakeHands(credentials)
    peer.send([20, 0, 1, 0, 0, 0, 7])
    let (frames, end) = try peer.readToEnd()
    #expect(frames.isEmpty)
    if case .failed(let reason) = end { #expect(reason.contains(words), "\(reason)") }
    await until { server.server.connectionCount == before }
  }

  /// Expects that the server says goodbye to the holder.
  func expectGoodbye(_ credentials: Credentials, _ words: String) throws {
    let peer = try RawPeer(server.address)
    #expect(try peer.shakeHands(credentials) == .moved(1))
    let (frames, _) = try peer.readToEnd()
    let goodbye = try #require(frames.goodbye)
    #expect(goodbye.code == .refused)
    #expect(goodbye.text.contains(words), "\(goodbye.text)")
  }

  @Test func `a certificate of another authority is refused`() async throws {
    let other = try CertificateTests.authority()
    // It bears the same name, so it is the signature that does not fit.
    try await expectRefusedByTLS(try issue(.client, "alice", by: other), "decrypt error")
  }

  @Test func `a certificate that is its own authority is refused`() async throws {
    try await expectRefusedByTLS(try issue(.client, "alice", by: nil), "unknown ca")
    try await expectRefusedByTLS(try issue(.authority, "samara authority", by: nil), "unknown ca")
  }

  @Test func `a certificate past its time or before it is refused`() async throws {
    let authority = try authority()
    try await expectRefusedByTLS(
      try issue(.client, "alice", by: authority, until: now - .seconds(1)),
      "expired"
    )
    try await expectRefusedByTLS(
      try issue(.client, "alice", by: authority, from: now + .seconds(600)),
      "certificate"
    )
  }

  @Test func `the server's own certificate lets nobody in as a client`() async throws {
    try await expectRefusedByTLS(server.authority.serverCredentials, "certificate")
  }

  @Test func `a certificate made by a client counts for nothing`() async throws {
    let client = try server.enrol("mallory")
    let made = try issue(.client, "alice", by: (client.certificate, client.key))
    try await expectRefusedByTLS(made, "unknown ca")
  }

  @Test func `a certificate of the authority that nobody enrolled for is refused in words`() throws
  {
    try expectGoodbye(try issue(.client, "ghost", by: try authority()), "no client ghost")
    let genuine = try server.enrol("alice")
    try expectGoodbye(try issue(.client, "alice", by: try authority()), "enrolled anew")
    withExtendedLifetime(genuine) {}
  }

  @Test func `whoever is not let in is told of, at most once a second`() async throws {
    let clock = ManualClock()
    let own = try LoopbackServer(time: clock.source)
    func knock() throws {
      let peer = try RawPeer(own.address)
      peer.sendRaw(Array("GET / HTTP/1.1\r\n".utf8))
      _ = peer.readRawToEnd()
    }
    for _ in 0..<3 { try knock() }
    await until { own.server.connectionCount == 0 }
    #expect(own.refusals.all.count == 1)
    #expect(own.refusals.all[0].hasPrefix("127.0.0.1:"))
    #expect(own.refusals.all[0].hasSuffix(": not a TLS 1.3 client of this protocol"))
    clock.advance(.seconds(1))
    let folder = "\(own.folder.path)/x"
    let token = try server.authority.issueToken(name: "alice", addresses: [own.address])
    #expect(throws: TransportError.self) {
      try ClientIdentity.join(token: token.text, folder: folder)
    }
    // The client has turned away by itself; then comes one with a certificate of another authority.
    let stranger = try server.enrol("mallory")
    let peer = try RawPeer(own.address)
    try peer.shakeHands(
      Credentials(
        authority: own.authority.certificate,
        certificate: stranger.certificate,
        key: stranger.key
      )
    )
    _ = try peer.readToEnd()
    await until { own.refusals.all.count == 2 }
    #expect(own.refusals.all[1].contains("certificate"))
    #expect(own.refusals.all[1].hasSuffix("(and 2 others before)"))
    own.server.shutdown(retryAfter: nil)
  }

  @Test func `a client turns away from a server that is not its own`() async throws {
    let client = try server.enrol("alice")
    let folder = TemporaryFolder()
    let other = try CertificateTests.authority()
    let impostors = [
      // Another authority altogether.
      try issue(.server, "server", by: other),
      // A client of the same authority that plays the server.
      try issue(.client, "mallory", by: try authority()),
      // A certificate that was the server's.
      try issue(.server, "server", by: try authority(), until: now - .seconds(1)),
    ]
    for (index, credentials) in impostors.enumerated() {
      let own = try #require(credentials.own)
      let impostor = try LoopbackServer(
        try CertificateAuthority(
          certificate: server.authority.certificate,
          key: own.key,
          server: { _ in credentials },
          registry: RecordingRegistry(),
          time: .wall,
          clientLifetime: .seconds(3600)
        ),
        in: folder
      )
      let events = EventQueue()
      let victim = try impostor.client(client, events: events)
      victim.connect()
      // Never `connected`: not a byte of the program's is told to it.
      let first = await events.first { event -> CloseReason? in
        switch event {
        case .closed(_, let reason, _): reason
        case .connected: .local
        default: nil
        }
      }
      guard case .failed(let words) = first else {
        Issue.record("impostor \(index): \(first)")
        return
      }
      #expect(words.contains("certificate"), "\(words)")
      victim.stop()
      impostor.server.shutdown(retryAfter: nil)
    }
  }
}
