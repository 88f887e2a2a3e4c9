// Apache-2.0.
public import Codecs
import COpenSSL
import Glibc

// SAFETY: the certificate is counted and never changed after it is made.
/// An X.509 certificate.
@safe public final class Certificate: @unchecked Sendable {
  let handle: OpaquePointer

  init(owning handle: OpaquePointer) { unsafe self.handle = handle }

  deinit { unsafe X509_free(handle) }

  /// Reads DER that fills `der` exactly.
  ///
  /// - Throws: `TransportError.certificate`.
  public init(der: [UInt8]) throws(TransportError) {
    var rest = 0
    // SAFETY: OpenSSL reads the bytes during the call and moves the pointer behind what it used.
    let read = unsafe der.withUnsafeBufferPointer { buffer -> OpaquePointer? in
      var next = buffer.baseAddress
      let certificate = unsafe d2i_X509(nil, &next, buffer.count)
      if let start = buffer.baseAddress, let next = unsafe next {
        unsafe rest = buffer.count - (next - start)
      }
      return unsafe certificate
    }
    guard let certificate = unsafe read else {
      throw .certificate("no certificate: \(openSSLReason())")
    }
    guard rest == 0 else {
      unsafe X509_free(certificate)
      throw .certificate("\(rest) bytes behind the certificate")
    }
    unsafe handle = certificate
  }

  /// Reads PEM.
  ///
  /// - Throws: `TransportError.certificate`.
  public convenience init(pem: String) throws(TransportError) {
    let bytes = Array(pem.utf8)
    // SAFETY: the memory BIO reads the bytes during the call.
    let read = unsafe bytes.withUnsafeBytes { buffer -> OpaquePointer? in
      let memory = unsafe BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count))
      defer { unsafe BIO_free(memory) }
      return unsafe PEM_read_bio_X509(memory, nil, nil, nil)
    }
    guard let certificate = unsafe read else {
      throw .certificate("no certificate: \(openSSLReason())")
    }
    unsafe self.init(owning: certificate)
  }

  /// The certificate as PEM.
  public func pem() throws(TransportError) -> String {
    guard let bytes = unsafe writtenToMemory({ unsafe PEM_write_bio_X509($0, handle) }) else {
      throw .lastTLS("write a certificate")
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The certificate as DER.
  public var der: [UInt8] {
    let count = unsafe i2d_X509(handle, nil)
    guard count > 0 else { return [] }
    // SAFETY: OpenSSL writes as many bytes as it said.
    return unsafe [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, written in
      var next = buffer.baseAddress
      written = Int(unsafe i2d_X509(handle, &next))
    }
  }

  /// SHA-256 of the DER.
  public var fingerprint: Digest { .sha256(of: der) }

  /// SHA-256 of the public key's DER.
  public var keyDigest: Digest { unsafe publicKeyDigest(X509_get0_pubkey(handle)) }

  /// The common name of the holder.
  public var name: String {
    var text = [CChar](repeating: 0, count: 128)
    // SAFETY: OpenSSL writes at most 128 bytes, zero-terminated; the name belongs to the certificate.
    let count = unsafe X509_NAME_get_text_by_NID(
      X509_get_subject_name(handle),
      NID_commonName,
      &text,
      128
    )
    guard count > 0 else { return "" }
    return String(
      decoding: text.prefix(Int(count)).map(UInt8.init(bitPattern:)),
      as: UTF8.self
    )
  }

  /// The serial number in hexadecimal.
  public var serial: String {
    // SAFETY: the serial belongs to the certificate.
    let serial = unsafe X509_get0_serialNumber(handle)
    let count = Int(unsafe ASN1_STRING_length(serial))
    guard let bytes = unsafe ASN1_STRING_get0_data(serial), count > 0 else { return "" }
    let digits = Array("0123456789abcdef")
    let raw = unsafe Array(UnsafeBufferPointer(start: bytes, count: count))
    return String(raw.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }

  /// Since when the certificate counts, since 1970.
  public var validFrom: Duration { unsafe seconds(X509_get0_notBefore(handle)) }

  /// Until when the certificate counts, since 1970.
  public var validUntil: Duration { unsafe seconds(X509_get0_notAfter(handle)) }

  private func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Duration {
    var parts = unsafe tm()
    // SAFETY: OpenSSL fills the broken-down time.
    guard unsafe ASN1_TIME_to_tm(time, &parts) == 1 else { return .zero }
    return .seconds(unsafe timegm(&parts))
  }

  /// Whether `authority` made this certificate and it counts at `time`.
  public func isValid(under authority: Certificate, at time: Duration) -> Bool {
    guard validFrom <= time, time < validUntil else { return false }
    let isSigned = unsafe X509_verify(handle, X509_get0_pubkey(authority.handle)) == 1
    ERR_clear_error()
    return isSigned
  }

  /// Whether the certificate may be used for `use`.
  func allows(_ use: CertificateUse) -> Bool {
    switch use {
    case .server: unsafe X509_check_purpose(handle, X509_PURPOSE_SSL_SERVER, 0) == 1
    case .client: unsafe X509_check_purpose(handle, X509_PURPOSE_SSL_CLIENT, 0) == 1
    case .authority: unsafe X509_check_ca(handle) == 1
    }
  }

  /// Whether `key` is the holder's.
  public func belongs(to key: PrivateKey) -> Bool {
    defer { ERR_clear_error() }
    return unsafe X509_check_private_key(handle, key.handle) == 1
  }
}

/// What a certificate is for.
public enum CertificateUse: Sendable {
  /// Making certificates.
  case authority
  /// Being the server.
  case server
  /// Being a client.
  case client
}

/// SHA-256 of a public key's DER.
func publicKeyDigest(_ key: OpaquePointer?) -> Digest {
  let count = unsafe i2d_PUBKEY(key, nil)
  guard count > 0 else { return .sha256(of: []) }
  // SAFETY: OpenSSL writes as many bytes as it said.
  let der = unsafe [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, written in
    var next = buffer.baseAddress
    written = Int(unsafe i2d_PUBKEY(key, &next))
  }
  return .sha256(of: der)
}
