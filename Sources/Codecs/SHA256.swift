// Apache-2.0.
import COpenSSL

/// SHA-256 over bytes that arrive in pieces (FIPS 180-4).
@safe public struct SHA256: ~Copyable {
  // SAFETY: owned alone, freed in deinit, handed only to OpenSSL.
  private let context: OpaquePointer

  /// A hasher that has seen nothing.
  public init() {
    // Allocation and the built-in digest fail only without memory, as any Swift allocation would.
    guard let made = unsafe EVP_MD_CTX_new(),
      unsafe EVP_DigestInit_ex(made, EVP_sha256(), nil) == 1
    else { fatalError("SHA-256 of OpenSSL cannot start") }
    unsafe context = made
  }

  deinit { unsafe EVP_MD_CTX_free(context) }

  /// Takes in more bytes.
  public mutating func update(_ bytes: RawSpan) {
    // SAFETY: OpenSSL reads byteCount bytes of the span during the call.
    unsafe bytes.withUnsafeBytes { buffer in
      let done = unsafe EVP_DigestUpdate(context, buffer.baseAddress, buffer.count)
      precondition(done == 1, "SHA-256 of OpenSSL failed")
    }
  }

  /// Takes in more bytes.
  public mutating func update(_ bytes: some Sequence<UInt8>) {
    let array = Array(bytes)
    // SAFETY: plain bytes have no padding that the raw view could expose.
    unsafe update(array.span.bytes)
  }

  /// The digest of all bytes taken in.
  public consuming func finalize() -> Digest {
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
      // SAFETY: SHA-256 writes 32 bytes.
      let done = unsafe EVP_DigestFinal_ex(context, buffer.baseAddress, nil)
      precondition(done == 1, "SHA-256 of OpenSSL failed")
      count = 32
    }
    return Digest(thirtyTwo: bytes)
  }
}

extension Digest {
  /// The SHA-256 of `bytes`.
  public static func sha256(of bytes: some Sequence<UInt8>) -> Digest {
    var hasher = SHA256()
    hasher.update(bytes)
    return hasher.finalize()
  }
}
