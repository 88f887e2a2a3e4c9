// Apache-2.0.
import COpenSSL
import Glibc

/// What can go wrong between a program and its peers.
public enum TransportError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A system call failed.
  case system(call: String, subject: String, code: Int32)
  /// OpenSSL refused to do something.
  case tls(attempt: String, reason: String)
  /// An address that is not `host:port`.
  case badAddress(String)
  /// A certificate, key or certificate request that cannot be used.
  case certificate(String)
  /// A token that cannot be redeemed.
  case token(String)
  /// A name that no client may have.
  case name(String)
  /// A file that is not what it should be.
  case file(path: String, reason: String)
  /// The peer said no, in its own words.
  case refused(String)
  /// The connection ended before the work was done.
  case closed(CloseReason)
  /// Something took longer than its limit.
  case timedOut(String)

  /// What was wrong, where, and what to do.
  public var description: String {
    switch self {
    case .system(let call, let subject, let code):
      "\(subject): \(call): \(unsafe String(cString: strerror(code)))"
    case .tls(let attempt, let reason): "\(attempt): \(reason)"
    case .badAddress(let text): "address \(text): expected host:port, such as 127.0.0.1:7070"
    case .certificate(let reason): reason
    case .token(let reason): "token: \(reason)"
    case .name(let name):
      "client name \(name): expected 1 to 64 letters, digits, dots, dashes or underscores"
    case .file(let path, let reason): "\(path): \(reason)"
    case .refused(let words): "refused by the server: \(words)"
    case .closed(let reason): "connection closed: \(reason)"
    case .timedOut(let what): "\(what): took too long"
    }
  }

  /// The failure of the call just made, from `errno`.
  static func lastCall(_ call: String, _ subject: String) -> TransportError {
    .system(call: call, subject: subject, code: errno)
  }

  /// The failure that OpenSSL reported last on this thread.
  static func lastTLS(_ attempt: String) -> TransportError {
    .tls(attempt: attempt, reason: openSSLReason())
  }
}

/// The oldest error of OpenSSL on this thread in words; empties the queue.
func openSSLReason() -> String {
  let code = ERR_get_error()
  ERR_clear_error()
  guard code != 0 else { return "unknown error" }
  guard let words = unsafe ERR_reason_error_string(code) else { return "OpenSSL error \(code)" }
  return unsafe String(cString: words)
}
