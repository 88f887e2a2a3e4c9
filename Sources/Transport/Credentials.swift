// Apache-2.0.

/// What an end of a connection shows and whom it believes.
public struct Credentials: Sendable {
  /// The authority whose certificates are believed; nil for a client that enrols and checks later.
  public let authority: Certificate?
  /// This end's certificate and key; nil for a client that enrols.
  public let own: (certificate: Certificate, key: PrivateKey)?

  /// Credentials of a server, or of a client that is enrolled.
  ///
  /// - Throws: `TransportError.certificate` where certificate and key do not belong together.
  public init(
    authority: Certificate,
    certificate: Certificate,
    key: PrivateKey
  ) throws(TransportError) {
    guard certificate.belongs(to: key) else {
      throw .certificate("the key is not that of the certificate of \(certificate.name)")
    }
    self.authority = authority
    own = (certificate, key)
  }

  private init() {
    authority = nil
    own = nil
  }

  /// Nothing: for a client that enrols.
  ///
  /// It believes whoever answers until it has seen that the
  /// authority is the one its token names.
  static let none = Credentials()
}
