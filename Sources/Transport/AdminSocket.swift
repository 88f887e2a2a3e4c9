// Apache-2.0.
import CLinux
import Glibc

/// The Unix socket on which the server's own user gives orders.
enum AdminSocket {
  /// Listens at `path`, of mode 0600; a socket that a dead server left behind is replaced.
  ///
  /// - Throws: `TransportError.file` where a living server listens there.
  static func listen(at path: String) throws(TransportError) -> Descriptor {
    let address = try ResolvedAddress.unix(path)
    let probe = samara_stream_socket(AF_UNIX)
    guard probe >= 0 else { throw .lastCall("socket", path) }
    // A server with more callers than it has taken in yet answers EAGAIN.
    let isAlive =
      unsafe address.with { unsafe Glibc.connect(probe, $0, $1) } == 0 || errno == EAGAIN
    _ = close(probe)
    guard !isAlive else { throw .file(path: path, reason: "a server is running already") }
    _ = unsafe unlink(path)
    let socket = try Descriptor.listening(at: address, named: path)
    // Until here another user may have connected; `isOwnUser` turns them away.
    guard unsafe chmod(path, 0o600) == 0 else { throw .lastCall("chmod", path) }
    return socket
  }

  /// Takes the socket's name away.
  static func remove(_ path: String) { _ = unsafe unlink(path) }

  /// Whether the other end runs as this user, or as root.
  static func isOwnUser(_ socket: Int32) -> Bool {
    let user = samara_peer_user(socket)
    return user == 0 || user == Int64(geteuid())
  }
}
