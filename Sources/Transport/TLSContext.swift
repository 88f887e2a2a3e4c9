// Apache-2.0.
import COpenSSL

/// The settings that all TLS sessions of an end share.
///
/// TLS 1.3, X25519, ECDSA over P-256, both ends with a certificate, no tickets, no resumption.
// SAFETY: the context is counted and not changed after `init`; OpenSSL locks what sessions share.
@safe final class TLSContext: @unchecked Sendable {
  fileprivate let handle: OpaquePointer
  let isServer: Bool

  /// A context of the server (certificate and authority needed) or of a client.
  init(_ credentials: Credentials, isServer: Bool) throws(TransportError) {
    guard let made = unsafe SSL_CTX_new(isServer ? TLS_server_method() : TLS_client_method()) else {
      throw .lastTLS("start TLS")
    }
    unsafe handle = made
    self.isServer = isServer
    guard unsafe samara_tls_harden(made) == 1 else { throw .lastTLS("set up TLS") }
    if let (certificate, key) = credentials.own {
      // OpenSSL counts references of its own to both.
      guard unsafe SSL_CTX_use_certificate(made, certificate.handle) == 1,
        unsafe SSL_CTX_use_PrivateKey(made, key.handle) == 1
      else { throw .lastTLS("use the certificate of \(certificate.name)") }
    }
    if let authority = credentials.authority {
      let store = unsafe SSL_CTX_get_cert_store(made)
      guard unsafe X509_STORE_add_cert(store, authority.handle) == 1 else {
        throw .lastTLS("trust \(authority.name)")
      }
      // A client without a certificate may come in to enrol; the connection decides what it may say.
      unsafe SSL_CTX_set_verify(made, SSL_VERIFY_PEER, nil)
    }
    if isServer { unsafe SSL_CTX_set_client_hello_cb(made, checkClientHello, nil) }
  }

  deinit { unsafe SSL_CTX_free(handle) }
}

/// Refuses a first message without an X25519 share: asking for another one would let a stranger make
/// the server hold a second message of up to 128 KiB.
private let checkClientHello: SSL_client_hello_cb_fn = { session, alert, _ in
  var bytes: UnsafePointer<UInt8>?
  var count = 0
  let keyShare: UInt32 = 51
  let x25519: UInt16 = 29
  var found = false
  // SAFETY: OpenSSL lends the extension's bytes for the length of the call.
  if unsafe SSL_client_hello_get0_ext(session, keyShare, &bytes, &count) == 1,
    let start = unsafe bytes
  {
    // list length u16, then (group u16, length u16, share)…, all big-endian
    let body = unsafe UnsafeBufferPointer(start: start, count: count)
    var at = 2
    while at + 4 <= count {
      let group = unsafe UInt16(body[at]) << 8 | UInt16(body[at + 1])
      if group == x25519 { found = true }
      at += unsafe 4 + Int(body[at + 2]) << 8 + Int(body[at + 3])
    }
  }
  if found { return SSL_CLIENT_HELLO_SUCCESS }
  unsafe alert?.pointee = SSL_AD_HANDSHAKE_FAILURE
  return SSL_CLIENT_HELLO_ERROR
}

/// What came of a read or a write.
enum IOResult: Equatable {
  /// So many bytes were moved.
  case moved(Int)
  /// Nothing can be moved until the descriptor can be read from.
  case wantsRead
  /// Nothing can be moved until the descriptor can be written to.
  case wantsWrite
  /// The other end has closed.
  case ended
  /// The connection is broken, for this reason.
  case failed(String)
}

/// One TLS connection on a non-blocking socket, which it does not own.
// SAFETY: owned alone, freed in deinit, used on one thread.
@safe final class TLSSession {
  private let handle: OpaquePointer

  init(_ context: TLSContext, socket: Int32) throws(TransportError) {
    guard let made = unsafe SSL_new(context.handle) else { throw .lastTLS("start a TLS session") }
    unsafe handle = made
    guard unsafe SSL_set_fd(made, socket) == 1 else { throw .lastTLS("start a TLS session") }
    if context.isServer {
      unsafe SSL_set_accept_state(made)
    } else {
      unsafe SSL_set_connect_state(made)
    }
  }

  deinit { unsafe SSL_free(handle) }

  /// Goes on with the handshake; `.moved` once it is done.
  func handshake() -> IOResult {
    ERR_clear_error()
    return unsafe result(SSL_do_handshake(handle))
  }

  /// Reads at most one record into `buffer`.
  func read(into buffer: inout [UInt8]) -> IOResult {
    // An error that another session left on this thread would be taken for this one's.
    ERR_clear_error()
    // SAFETY: OpenSSL writes at most as many bytes as there is room for.
    return unsafe result(SSL_read(handle, &buffer, Int32(buffer.count)))
  }

  /// Writes at most one record.
  ///
  /// After `wantsRead` or `wantsWrite` the next call must bring the same bytes.
  func write(_ bytes: ArraySlice<UInt8>) -> IOResult {
    ERR_clear_error()
    // SAFETY: OpenSSL reads the bytes of the slice.
    return unsafe bytes.withUnsafeBufferPointer { buffer in
      unsafe result(SSL_write(handle, buffer.baseAddress, Int32(buffer.count)))
    }
  }

  /// Tells the other end that nothing more comes; whether it arrives does not matter.
  func sayEnd() {
    ERR_clear_error()
    _ = unsafe SSL_shutdown(handle)
    ERR_clear_error()
  }

  /// The certificate of the other end, which OpenSSL has verified where an authority is set.
  var peerCertificate: Certificate? {
    guard let found = unsafe SSL_get1_peer_certificate(handle) else { return nil }
    return unsafe Certificate(owning: found)
  }

  /// Bytes on the wire so far.
  var traffic: Traffic {
    unsafe Traffic(received: samara_bytes_read(handle), sent: samara_bytes_written(handle))
  }

  private func result(_ code: Int32) -> IOResult {
    if code > 0 { return .moved(Int(code)) }
    switch unsafe SSL_get_error(handle, code) {
    case SSL_ERROR_WANT_READ: return .wantsRead
    case SSL_ERROR_WANT_WRITE: return .wantsWrite
    case SSL_ERROR_ZERO_RETURN: return .ended
    case SSL_ERROR_SYSCALL: return systemFailure()
    default: return tlsFailure()
    }
  }

  private func systemFailure() -> IOResult {
    // A peer that vanishes is an everyday matter: an end, not a failure with a number.
    defer { ERR_clear_error() }
    let code = lastSystemError()
    return code == 0 ? .ended : .failed(systemErrorText(code))
  }

  private func tlsFailure() -> IOResult {
    let verification = unsafe SSL_get_verify_result(handle)
    let reason = openSSLReason()
    if verification != Int(X509_V_OK) {
      let words = unsafe String(cString: X509_verify_cert_error_string(verification))
      return .failed("the other end's certificate: \(words)")
    }
    // OpenSSL 3 calls an end of the stream without a close_notify an error of its own.
    return reason.contains("unexpected eof") ? .ended : .failed("TLS: \(reason)")
  }
}
