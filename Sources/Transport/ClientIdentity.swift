// Apache-2.0.
import Codecs
public import Telemetry

/// Who a client is and where its server listens, as kept in a folder.
///
///     FOLDER/client.key    the client's key; it never leaves the machine
///     FOLDER/client.crt    its certificate
///     FOLDER/ca.crt        the server's authority
///     FOLDER/server        addresses of the server, one a line
public struct ClientIdentity: Sendable {
  /// The name under which the client is enrolled.
  public var name: String { certificate.name }
  /// The server's authority.
  public let authority: Certificate
  /// The client's certificate.
  public let certificate: Certificate
  /// Where the server listens.
  public let addresses: [SocketAddress]
  let key: PrivateKey
  /// What to show and whom to believe.
  public let credentials: Credentials

  init(
    authority: Certificate,
    certificate: Certificate,
    key: PrivateKey,
    addresses: [SocketAddress]
  ) throws(TransportError) {
    self.authority = authority
    self.certificate = certificate
    self.key = key
    self.addresses = addresses
    credentials = try Credentials(authority: authority, certificate: certificate, key: key)
  }

  /// Reads the identity in `folder`.
  ///
  /// - Throws: `TransportError.file` where there is none: the client has to join first.
  public init(folder: String) throws(TransportError) {
    guard try DurableFile.read("\(folder)/client.crt") != nil else {
      throw .file(path: folder, reason: "no identity here; run `fedclient join TOKEN` first")
    }
    var addresses: [SocketAddress] = []
    for line in try DurableFile.text("\(folder)/server").split(separator: "\n") {
      addresses.append(try SocketAddress(String(line)))
    }
    try self.init(
      authority: try Certificate(pem: try DurableFile.text("\(folder)/ca.crt")),
      certificate: try Certificate(pem: try DurableFile.text("\(folder)/client.crt")),
      key: try PrivateKey(pem: try DurableFile.text("\(folder)/client.key")),
      addresses: addresses
    )
  }

  /// Writes the identity into `folder`, of its owner alone; the certificate last, since it makes the
  /// identity one.
  public func save(in folder: String) throws(TransportError) {
    try DurableFile.makeFolder(folder)
    let lines = addresses.map { "\($0)\n" }.joined()
    try DurableFile.write(Array(try key.pem().utf8), to: "\(folder)/client.key")
    try DurableFile.write(Array(lines.utf8), to: "\(folder)/server")
    try DurableFile.write(Array(try authority.pem().utf8), to: "\(folder)/ca.crt")
    try DurableFile.write(Array(try certificate.pem().utf8), to: "\(folder)/client.crt")
  }

  /// Whether less than a third of the certificate's time is left.
  public func needsRenewal(at now: Duration) -> Bool {
    (certificate.validUntil - now) * 3 < certificate.validUntil - certificate.validFrom
  }

  /// The same client with a new certificate.
  ///
  /// - Throws: `TransportError.certificate` where it is not this client's of this authority.
  func renewed(_ new: Certificate, at now: Duration) throws(TransportError) -> ClientIdentity {
    guard new.name == name, new.allows(.client), new.isValid(under: authority, at: now) else {
      throw .certificate("the server sent a certificate that is not for \(name)")
    }
    return try ClientIdentity(
      authority: authority,
      certificate: new,
      key: key,
      addresses: addresses
    )
  }
}

extension ClientIdentity {
  /// Enrols with a token and keeps the identity in `folder`; waits for the server.
  ///
  /// The key is made here and kept before the token is used, so that a lost answer or a crash costs
  /// nothing: joining again with the same token and folder goes on where it stopped.
  ///
  /// - Throws: `TransportError.token` for a token that is no good, `.refused` with the server's words,
  ///   `.closed` where it cannot be reached.
  public static func join(
    token text: String,
    folder: String,
    limits: ConnectionLimits = ConnectionLimits(silence: .seconds(20)),
    wall: TimeSource = .wall
  ) throws(TransportError) -> ClientIdentity {
    let token = try EnrolmentToken(text)
    guard wall.now < token.expiry else {
      throw .token("expired; ask for a new one with `fedserver enroll \(token.name)`")
    }
    guard try DurableFile.read("\(folder)/client.crt") == nil else {
      throw .file(path: folder, reason: "there is an identity already; choose another folder")
    }
    try DurableFile.makeFolder(folder)
    let key = try keptKey("\(folder)/client.key")
    let (authority, certificate) = try Enrolment.run(token, key, limits: limits, wall: wall)
    let identity = try ClientIdentity(
      authority: authority,
      certificate: certificate,
      key: key,
      addresses: token.addresses
    )
    try identity.save(in: folder)
    return identity
  }

  /// Enrols with an authority of this very process, without a connection and without a folder: for
  /// programs that play many clients.
  public static func made(
    by authority: CertificateAuthority,
    name: String,
    addresses: [SocketAddress]
  ) throws(TransportError) -> ClientIdentity {
    let token = try authority.issueToken(name: name, addresses: addresses)
    let key = try PrivateKey.generate()
    return try ClientIdentity(
      authority: authority.certificate,
      certificate: try authority.redeem(
        secret: token.secret,
        request: try CertificateRequest.make(for: key)
      ),
      key: key,
      addresses: addresses
    )
  }

  /// The key that an attempt before has made, or a new one.
  private static func keptKey(_ path: String) throws(TransportError) -> PrivateKey {
    if try DurableFile.read(path) != nil { return try PrivateKey(pem: try DurableFile.text(path)) }
    let key = try PrivateKey.generate()
    try DurableFile.write(Array(try key.pem().utf8), to: path)
    return key
  }
}
