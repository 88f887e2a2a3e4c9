// Apache-2.0.
import Codecs
import COpenSSL

/// A request for a certificate (PKCS #10), signed with the key it asks for.
///
/// The name in it does not matter: the token says who the client is.
@safe final class CertificateRequest {
  // SAFETY: owned alone, freed in deinit.
  private let handle: OpaquePointer

  /// The largest DER in bytes; a P-256 request has about 200.
  static let maximumBytes = 2048

  private init(owning handle: OpaquePointer) { unsafe self.handle = handle }

  deinit { unsafe X509_REQ_free(handle) }

  /// A request for `key`.
  static func make(for key: PrivateKey) throws(TransportError) -> [UInt8] {
    guard let request = unsafe X509_REQ_new() else { throw .lastTLS("make a request") }
    let owner = unsafe CertificateRequest(owning: request)
    guard unsafe X509_REQ_set_pubkey(owner.handle, key.handle) == 1,
      unsafe X509_REQ_sign(owner.handle, key.handle, EVP_sha256()) > 0
    else { throw .lastTLS("sign a certificate request") }
    let count = unsafe i2d_X509_REQ(owner.handle, nil)
    guard count > 0 else { throw .lastTLS("write a certificate request") }
    // SAFETY: OpenSSL writes as many bytes as it said.
    return unsafe [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, written in
      var next = buffer.baseAddress
      written = Int(unsafe i2d_X509_REQ(owner.handle, &next))
    }
  }

  /// Reads a request and checks that its sender has the key.
  ///
  /// - Throws: `TransportError.certificate`.
  init(der: [UInt8]) throws(TransportError) {
    guard der.count <= Self.maximumBytes else {
      throw .certificate("certificate request of \(der.count) bytes")
    }
    // SAFETY: OpenSSL reads the bytes during the call.
    let read = unsafe der.withUnsafeBufferPointer { buffer -> OpaquePointer? in
      var next = buffer.baseAddress
      return unsafe d2i_X509_REQ(nil, &next, buffer.count)
    }
    guard let request = unsafe read else {
      throw .certificate("no certificate request: \(openSSLReason())")
    }
    unsafe handle = request
    let key = unsafe X509_REQ_get0_pubkey(request)
    guard unsafe isP256(key) else {
      throw .certificate("the certificate request is not for a P-256 key")
    }
    guard unsafe X509_REQ_verify(request, key) == 1 else {
      ERR_clear_error()
      throw .certificate("the certificate request is not signed with its own key")
    }
  }

  /// The key that is to be certified; it belongs to the request.
  var publicKey: OpaquePointer? { unsafe X509_REQ_get0_pubkey(handle) }

  /// SHA-256 of the key's DER.
  var keyDigest: Digest { unsafe publicKeyDigest(publicKey) }
}
