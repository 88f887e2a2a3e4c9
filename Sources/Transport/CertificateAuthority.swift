// Apache-2.0.
import Codecs
import Synchronization
public import Telemetry

/// The server's own certificate authority: it alone says who is a client.
///
///     FOLDER/ca.key, ca.crt          the authority, 20 years
///     FOLDER/server.key, server.crt  the server, made anew in its last 90 days
///     FOLDER/clients.log             what was given out, redeemed and revoked
public final class CertificateAuthority: Sendable {
  /// The authority's certificate.
  public let certificate: Certificate
  /// Makes what the server shows, or finds it in its file.
  private let server: @Sendable (Duration) throws(TransportError) -> Credentials
  private let shown: Mutex<Credentials>
  private let key: PrivateKey
  private let time: TimeSource
  private let clientLifetime: Duration
  /// Held while a record is decided on and made durable.
  private let registry: Mutex<any ClientRegistry>
  /// What is durable; never held while the disk is waited for, so that whoever asks is answered.
  private let known: Mutex<ClientList>

  private static func days(_ count: Int) -> Duration { .seconds(count * 86_400) }

  /// Clocks of edge boxes are wrong by minutes: certificates count since a while ago.
  private static let backdating = Duration.seconds(3600)

  /// Makes an authority in `folder`, which may exist.
  ///
  /// - Throws: `TransportError.file` where there is one already.
  public static func create(
    in folder: String,
    time: TimeSource = .wall,
    clientLifetime: Duration = .seconds(365 * 86_400)
  ) throws(TransportError) -> CertificateAuthority {
    try DurableFile.makeFolder(folder)
    guard try DurableFile.read("\(folder)/ca.crt") == nil else {
      throw .file(
        path: "\(folder)/ca.crt",
        reason:
          "there is a certificate authority already, which clients trust; keep it, or choose another folder"
      )
    }
    let key = try PrivateKey.generate()
    let now = time.now
    let certificate = try CertificateIssuer(authority: nil).issue(
      .authority,
      name: "samara authority",
      for: key,
      from: now - backdating,
      until: now + days(20 * 365)
    )
    // The certificate comes last: with it the authority exists.
    try DurableFile.write(Array(try key.pem().utf8), to: "\(folder)/ca.key")
    try DurableFile.write(Array(try certificate.pem().utf8), to: "\(folder)/ca.crt", mode: 0o644)
    return try open(in: folder, time: time, clientLifetime: clientLifetime)
  }

  /// Opens the authority in `folder`.
  ///
  /// - Throws: `TransportError` where there is none, or another process has it open.
  public static func open(
    in folder: String,
    time: TimeSource = .wall,
    clientLifetime: Duration = .seconds(365 * 86_400)
  ) throws(TransportError) -> CertificateAuthority {
    let key = try PrivateKey(pem: try DurableFile.text("\(folder)/ca.key"))
    let certificate = try Certificate(pem: try DurableFile.text("\(folder)/ca.crt"))
    guard certificate.belongs(to: key) else {
      throw .file(path: "\(folder)/ca.key", reason: "not the key of ca.crt beside it")
    }
    return try CertificateAuthority(
      certificate: certificate,
      key: key,
      server: { now throws(TransportError) in
        try serverCredentials(in: folder, certificate, key, now: now)
      },
      registry: try FileRegistry(path: "\(folder)/clients.log"),
      time: time,
      clientLifetime: clientLifetime
    )
  }

  init(
    certificate: Certificate,
    key: PrivateKey,
    server: @escaping @Sendable (Duration) throws(TransportError) -> Credentials,
    registry: any ClientRegistry,
    time: TimeSource,
    clientLifetime: Duration
  ) throws(TransportError) {
    self.certificate = certificate
    self.key = key
    self.time = time
    self.clientLifetime = clientLifetime
    self.server = server
    shown = Mutex(try server(time.now))
    var list = ClientList()
    for record in try registry.records() { list.apply(record) }
    self.registry = Mutex(registry)
    known = Mutex(list)
  }

  /// What the server shows.
  public var serverCredentials: Credentials { shown.withLock { $0 } }

  /// Makes the server's certificate anew if it is in its last 90 days.
  ///
  /// - Returns: the new one; nil where the present one does. New connections have to be given it.
  func renewServer() throws(TransportError) -> Credentials? {
    let found = try server(time.now)
    return shown.withLock { shown in
      guard found.own?.certificate.serial != shown.own?.certificate.serial else { return nil }
      shown = found
      return found
    }
  }

  private static func serverCredentials(
    in folder: String,
    _ authority: Certificate,
    _ authorityKey: PrivateKey,
    now: Duration
  ) throws(TransportError) -> Credentials {
    let (keyPath, path) = ("\(folder)/server.key", "\(folder)/server.crt")
    if try DurableFile.read(path) != nil {
      let certificate = try Certificate(pem: try DurableFile.text(path))
      let key = try PrivateKey(pem: try DurableFile.text(keyPath))
      if certificate.belongs(to: key), certificate.isValid(under: authority, at: now + days(90)) {
        return try Credentials(authority: authority, certificate: certificate, key: key)
      }
    }
    let key = try PrivateKey.generate()
    let certificate = try CertificateIssuer(authority: (authority, authorityKey)).issue(
      .server,
      name: "server",
      for: key,
      from: now - backdating,
      until: min(now + days(5 * 365), authority.validUntil)
    )
    try DurableFile.write(Array(try key.pem().utf8), to: keyPath)
    try DurableFile.write(Array(try certificate.pem().utf8), to: path, mode: 0o644)
    return try Credentials(authority: authority, certificate: certificate, key: key)
  }
}

// MARK: Enrolment

extension CertificateAuthority {
  /// Gives out a token with which one client may enrol as `name`.
  ///
  /// - Throws: `TransportError.name`, `.token`, or `.system` where it could not be made durable.
  public func issueToken(
    name: String,
    addresses: [SocketAddress],
    lifetime: Duration = .seconds(86_400)
  ) throws(TransportError) -> EnrolmentToken {
    guard ClientName.isAllowed(name) else { throw .name(name) }
    guard (1...EnrolmentToken.mostAddresses).contains(addresses.count) else {
      throw .token("\(addresses.count) addresses; 1 to \(EnrolmentToken.mostAddresses) are allowed")
    }
    let token = EnrolmentToken(
      expiry: .seconds((time.now + lifetime).components.seconds),
      secret: try randomBytes(EnrolmentToken.secretBytes),
      authority: certificate.fingerprint,
      name: name,
      addresses: addresses
    )
    let hash = Digest.sha256(of: token.secret).description
    try record { _ throws(TransportError) in
      (.token(hash: hash, name: name, expiry: token.expiry.components.seconds), ())
    }
    return token
  }

  /// Takes a token's secret and a certificate request; gives the certificate.
  ///
  /// The same secret with the same key gives the same certificate again, since an answer may be lost on
  /// the way; with any other key it is refused.
  public func redeem(secret: [UInt8], request: [UInt8]) throws(TransportError) -> Certificate {
    let hash = Digest.sha256(of: secret).description
    // Whoever has no token is turned away before anything of his is parsed.
    guard known.withLock({ $0.tokens[hash] }) != nil else {
      throw .token("unknown to this server")
    }
    let request = try CertificateRequest(der: request)
    let key = request.keyDigest.description
    return try record { list throws(TransportError) in
      guard let token = list.tokens[hash] else { throw .token("unknown to this server") }
      guard !token.isRevoked else { throw .token("revoked") }
      if let (redeemedKey, der) = token.redeemed {
        guard redeemedKey == key else { throw .token("used already; ask for a new one") }
        return (nil, try Certificate(der: der))
      }
      guard time.now < .seconds(token.expiry) else { throw .token("expired; ask for a new one") }
      let made = try issue(name: token.name, for: request)
      return (
        .enrolled(
          token: hash,
          name: token.name,
          serial: made.serial,
          key: key,
          expiry: made.validUntil.components.seconds,
          der: made.der
        ), made
      )
    }
  }

  /// Gives a client a new certificate for the time after its present one, in the later half of that.
  public func renew(_ present: Certificate, request: [UInt8]) throws(TransportError) -> Certificate
  {
    let request = try CertificateRequest(der: request)
    return try record { list throws(TransportError) in
      guard list.clients[present.name]?.serials.contains(present.serial) == true else {
        throw .certificate("the certificate of \(present.name) counts no more")
      }
      guard (present.validUntil - time.now) * 2 <= present.validUntil - present.validFrom else {
        throw .certificate("the certificate of \(present.name) is too young to be renewed")
      }
      let made = try issue(name: present.name, for: request)
      return (
        .renewed(
          name: present.name,
          serial: made.serial,
          key: request.keyDigest.description,
          expiry: made.validUntil.components.seconds
        ), made
      )
    }
  }

  /// Makes certificates and tokens of `name` count no more.
  ///
  /// - Returns: false where the name is unknown. Live connections are the server's to close.
  public func revoke(_ name: String) throws(TransportError) -> Bool {
    try record { list in
      let isKnown =
        list.clients[name] != nil || list.tokens.values.contains { $0.name == name }
      return (isKnown ? .revoked(name: name) : nil, isKnown)
    }
  }

  /// Whether the holder of a certificate, verified by TLS, may come in.
  func admission(_ certificate: Certificate) -> Admission {
    guard certificate.allows(.client) else { return .refused("not the certificate of a client") }
    return known.withLock { list in
      guard let client = list.clients[certificate.name] else {
        return .refused("no client \(certificate.name) is enrolled here")
      }
      if client.isRevoked { return .refused("the certificate of \(certificate.name) is revoked") }
      guard client.serials.contains(certificate.serial) else {
        return .refused(
          "\(certificate.name) has enrolled anew since; this certificate counts no more"
        )
      }
      return .admitted
    }
  }

  private func issue(
    name: String,
    for request: CertificateRequest
  ) throws(TransportError) -> Certificate {
    let now = time.now
    return try CertificateIssuer(authority: (certificate, key)).issue(
      .client,
      name: name,
      for: request,
      from: now - Self.backdating,
      until: min(now + clientLifetime, certificate.validUntil)
    )
  }

  /// Decides on a record and makes it durable before it counts; waits for the disk, and for those that
  /// came before.
  private func record<R: Sendable>(
    _ decide: (ClientList) throws(TransportError) -> sending (RegistryRecord?, R)
  ) throws(TransportError) -> R {
    try registry.withLock { registry throws(TransportError) -> R in
      let (record, result) = try known.withLock { list throws(TransportError) in
        try decide(list)
      }
      if let record {
        try registry.append(record)
        known.withLock { $0.apply(record) }
      }
      return result
    }
  }
}

/// Whether somebody may come in.
enum Admission: Equatable {
  case admitted
  /// With the reason, for the client's eyes.
  case refused(String)
}

/// A client as `list` shows it.
public struct EnrolledClient: Sendable, Equatable {
  /// Its name.
  public let name: String
  /// What stands with it.
  public let standing: Standing
  /// Until when its certificate, or its open token, counts, since 1970.
  public let expiry: Duration

  /// What stands with a client.
  public enum Standing: String, Sendable {
    /// A token waits to be redeemed.
    case invited
    /// It has a certificate.
    case enrolled
    /// Its certificate or token is past its time.
    case expired
    /// It may not come in.
    case revoked
  }
}

extension CertificateAuthority {
  /// All clients and open tokens, by name.
  public func list() -> [EnrolledClient] {
    let now = time.now
    let list = known.withLock { $0 }
    var found = list.clients.map { name, entry in
      let expiry = Duration.seconds(entry.expiry)
      return EnrolledClient(
        name: name,
        standing: entry.isRevoked ? .revoked : expiry <= now ? .expired : .enrolled,
        expiry: expiry
      )
    }
    for token in list.tokens.values
    where token.redeemed == nil && !token.isRevoked && list.clients[token.name] == nil {
      let expiry = Duration.seconds(token.expiry)
      let standing: EnrolledClient.Standing = expiry <= now ? .expired : .invited
      found.append(EnrolledClient(name: token.name, standing: standing, expiry: expiry))
    }
    return found.sorted { ($0.name, $0.expiry) < ($1.name, $1.expiry) }
  }
}
