// Apache-2.0.
import COpenSSL

// SAFETY: the key is counted and never changed after it is made; OpenSSL reads it from any thread.
/// A P-256 key; it leaves the object only as PEM, for a file of its owner.
@safe public final class PrivateKey: @unchecked Sendable {
  let handle: OpaquePointer

  private init(owning handle: OpaquePointer) { unsafe self.handle = handle }

  deinit { unsafe EVP_PKEY_free(handle) }

  /// A fresh key.
  public static func generate() throws(TransportError) -> PrivateKey {
    guard let key = unsafe samara_generate_p256() else { throw .lastTLS("make a P-256 key") }
    return unsafe PrivateKey(owning: key)
  }

  /// Reads PKCS #8 PEM.
  ///
  /// - Throws: `TransportError.certificate` unless it is a P-256 key without a password.
  public init(pem: String) throws(TransportError) {
    let bytes = Array(pem.utf8)
    // SAFETY: the memory BIO reads the bytes during the call; an empty password keeps OpenSSL from
    // asking at the terminal.
    let read = unsafe bytes.withUnsafeBytes { buffer -> OpaquePointer? in
      let memory = unsafe BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count))
      defer { unsafe BIO_free(memory) }
      return unsafe PEM_read_bio_PrivateKey(memory, nil, { _, _, _, _ in 0 }, nil)
    }
    guard let key = unsafe read else { throw .certificate("no private key: \(openSSLReason())") }
    guard unsafe isP256(key) else {
      unsafe EVP_PKEY_free(key)
      throw .certificate("the private key is not of the curve P-256")
    }
    unsafe handle = key
  }

  /// PKCS #8 PEM without a password.
  public func pem() throws(TransportError) -> String {
    let bytes = unsafe writtenToMemory { memory in
      unsafe PEM_write_bio_PKCS8PrivateKey(memory, handle, nil, nil, 0, nil, nil)
    }
    guard let bytes else { throw .lastTLS("write a private key") }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// Whether a key, public or private, is of the curve P-256.
func isP256(_ key: OpaquePointer?) -> Bool {
  var name = [CChar](repeating: 0, count: 32)
  var length = 0
  // SAFETY: OpenSSL writes a zero-terminated name of at most 32 bytes.
  guard unsafe EVP_PKEY_get_group_name(key, &name, 32, &length) == 1 else {
    ERR_clear_error()
    return false
  }
  let text = name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
  return String(decoding: text, as: UTF8.self) == "prime256v1"
}

/// What `write` puts into a memory BIO; nil where it fails.
func writtenToMemory(_ write: (OpaquePointer) -> Int32) -> [UInt8]? {
  guard let memory = unsafe BIO_new(BIO_s_mem()) else { return nil }
  // SAFETY: the BIO owns the bytes until it is freed; they are copied before.
  defer { unsafe BIO_free(memory) }
  guard unsafe write(memory) == 1 else { return nil }
  var bytes: UnsafeMutablePointer<CChar>?
  let count = unsafe samara_memory_bytes(memory, &bytes)
  guard let start = unsafe bytes, count > 0 else { return nil }
  return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
}
