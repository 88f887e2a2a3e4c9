// Apache-2.0.
import Codecs
import COpenSSL

/// Makes certificates, as short as they can be: every handshake carries two of them.
///
/// Version 3, issuer and subject of one common name each, a random 63-bit serial, ECDSA over P-256
/// with SHA-256, and one extension that says what the certificate is for.
struct CertificateIssuer {
  /// The authority's certificate and key; nil to make an authority's own certificate.
  let authority: (certificate: Certificate, key: PrivateKey)?

  /// A certificate for the key in a request.
  func issue(
    _ use: CertificateUse,
    name: String,
    for request: CertificateRequest,
    from start: Duration,
    until end: Duration
  ) throws(TransportError) -> Certificate {
    try unsafe issue(use, name: name, publicKey: request.publicKey, from: start, until: end)
  }

  /// A certificate for a key held here.
  func issue(
    _ use: CertificateUse,
    name: String,
    for key: PrivateKey,
    from start: Duration,
    until end: Duration
  ) throws(TransportError) -> Certificate {
    try unsafe issue(use, name: name, publicKey: key.handle, own: key, from: start, until: end)
  }

  private func issue(
    _ use: CertificateUse,
    name: String,
    publicKey: OpaquePointer?,
    own: PrivateKey? = nil,
    from start: Duration,
    until end: Duration
  ) throws(TransportError) -> Certificate {
    guard let signer = authority?.key ?? own, let made = unsafe X509_new() else {
      throw .certificate("only an authority signs its own certificate")
    }
    // SAFETY: the certificate is owned from here on; OpenSSL copies the key, the names and the times.
    let certificate = unsafe Certificate(owning: made)
    let handle = unsafe certificate.handle
    var serial = try randomBytes(8)
    serial[0] = serial[0] & 0x7F | 0x40
    let number = serial.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let issuer = authority?.certificate.name ?? name
    guard
      unsafe X509_set_version(handle, 2) == 1,
      unsafe ASN1_INTEGER_set_uint64(X509_get_serialNumber(handle), number) == 1,
      unsafe setName(X509_get_subject_name(handle), name),
      unsafe setName(X509_get_issuer_name(handle), issuer),
      unsafe ASN1_TIME_set(X509_getm_notBefore(handle), Int(start.components.seconds)) != nil,
      unsafe ASN1_TIME_set(X509_getm_notAfter(handle), Int(end.components.seconds)) != nil,
      unsafe X509_set_pubkey(handle, publicKey) == 1,
      extensions(of: use).allSatisfy({ unsafe add($0.0, $0.1, to: handle) }),
      unsafe X509_sign(handle, signer.handle, EVP_sha256()) > 0
    else { throw .lastTLS("make a certificate for \(name)") }
    return certificate
  }

  private func extensions(of use: CertificateUse) -> [(Int32, String)] {
    switch use {
    case .authority:
      [
        (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
        (NID_key_usage, "critical,keyCertSign"),
      ]
    case .server: [(NID_ext_key_usage, "serverAuth")]
    case .client: [(NID_ext_key_usage, "clientAuth")]
    }
  }

  private func setName(_ field: OpaquePointer?, _ name: String) -> Bool {
    let bytes = Array(name.utf8)
    return unsafe X509_NAME_add_entry_by_NID(
      field,
      NID_commonName,
      MBSTRING_UTF8,
      bytes,
      Int32(bytes.count),
      -1,
      0
    ) == 1
  }

  private func add(_ kind: Int32, _ value: String, to certificate: OpaquePointer) -> Bool {
    guard let made = unsafe X509V3_EXT_conf_nid(nil, nil, kind, value) else { return false }
    // SAFETY: the certificate copies the extension.
    defer { unsafe X509_EXTENSION_free(made) }
    return unsafe X509_add_ext(certificate, made, -1) == 1
  }
}

/// Bytes from OpenSSL's generator, for keys, serials and secrets.
func randomBytes(_ count: Int) throws(TransportError) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: count)
  // SAFETY: OpenSSL writes `count` bytes.
  guard unsafe RAND_bytes(&bytes, Int32(count)) == 1 else { throw .lastTLS("draw random bytes") }
  return bytes
}
