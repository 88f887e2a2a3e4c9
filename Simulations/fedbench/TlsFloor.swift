// Apache-2.0.
import COpenSSL
import CommandLineTool
import Glibc
import Transport

/// OpenSSL alone: two ends in memory on one thread, with the same keys and settings as the connections.
// SAFETY: owned alone, freed in deinit, used on one thread.
@safe final class TLSFloor {
  private let server: OpaquePointer
  private let client: OpaquePointer

  /// Contexts from the folders of an authority and of a client.
  init(authority: String, client folder: String) throws {
    guard let server = unsafe SSL_CTX_new(TLS_server_method()),
      let client = unsafe SSL_CTX_new(TLS_client_method())
    else { throw CommandFailure("OpenSSL gives no context") }
    unsafe (self.server, self.client) = unsafe (server, client)
    try unsafe Self.load(server, "\(authority)/server", root: "\(authority)/ca.crt")
    try unsafe Self.load(client, "\(folder)/client", root: "\(authority)/ca.crt")
  }

  deinit {
    unsafe SSL_CTX_free(server)
    unsafe SSL_CTX_free(client)
  }

  private static func load(_ context: OpaquePointer, _ name: String, root: String) throws {
    guard unsafe samara_tls_harden(context) == 1,
      unsafe SSL_CTX_use_certificate_file(context, "\(name).crt", SSL_FILETYPE_PEM) == 1,
      unsafe SSL_CTX_use_PrivateKey_file(context, "\(name).key", SSL_FILETYPE_PEM) == 1,
      unsafe SSL_CTX_load_verify_locations(context, root, nil) == 1
    else { throw CommandFailure("OpenSSL does not take the keys of \(name)") }
    unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
  }

  /// Two ends joined by memory, after their handshake.
  // SAFETY: owned alone, freed in deinit; the sessions own their halves of the pair.
  @safe private final class Pair {
    let server: OpaquePointer
    let client: OpaquePointer

    init(_ floor: TLSFloor) throws {
      var (left, right): (OpaquePointer?, OpaquePointer?) = (nil, nil)
      guard let server = unsafe SSL_new(floor.server), let client = unsafe SSL_new(floor.client),
        unsafe BIO_new_bio_pair(&left, 65_536, &right, 65_536) == 1
      else { throw CommandFailure("OpenSSL gives no session") }
      unsafe (self.server, self.client) = unsafe (server, client)
      unsafe SSL_set_bio(server, left, left)
      unsafe SSL_set_bio(client, right, right)
      unsafe SSL_set_accept_state(server)
      unsafe SSL_set_connect_state(client)
      var rounds = 0
      while true {
        let one = unsafe SSL_do_handshake(client)
        let other = unsafe SSL_do_handshake(server)
        if one == 1, other == 1 { return }
        rounds += 1
        guard rounds < 10 else { throw CommandFailure("OpenSSL's handshake in memory fails") }
      }
    }

    deinit {
      unsafe SSL_free(server)
      unsafe SSL_free(client)
    }
  }

  /// Mutual handshakes a second.
  func handshakesPerSecond() throws -> Double {
    let count = 200
    let time = try seconds { for _ in 0..<count { _ = try Pair(self) } }
    return Double(count) / time
  }

  /// Records of 16 KiB sealed and opened, 10⁶ bytes a second.
  func megabytesPerSecond() throws -> Double {
    let pair = try Pair(self)
    let size: Int32 = 16 << 10
    let count = 8192
    var record = [UInt8](repeating: 9, count: Int(size))
    var moved = 0
    let time = seconds {
      for _ in 0..<count {
        // SAFETY: both calls stay within the record.
        guard unsafe SSL_write(pair.server, record, size) == size else { return }
        moved += Int(unsafe SSL_read(pair.client, &record, size))
      }
    }
    guard moved == count * Int(size) else { throw CommandFailure("OpenSSL loses records") }
    return Double(moved) / time * 1e-6
  }

  /// Times of 64 bytes there and back over a socket pair of TCP, with nothing around them.
  static func bareEcho(_ count: Int) throws -> [Double] {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    // SAFETY: the address lives during each call and is as long as said.
    let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
        unsafe bind(listener, raw, length) == 0 && listen(listener, 1) == 0
          && getsockname(listener, raw, &length) == 0
      }
    }
    let near = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let isConnected = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
        unsafe connect(near, raw, length) == 0
      }
    }
    let far = accept(listener, nil, nil)
    defer { for descriptor in [listener, near, far] { _ = close(descriptor) } }
    guard isBound, isConnected, far >= 0 else { throw CommandFailure("no TCP on loopback") }
    var on: Int32 = 1
    for end in [near, far] {
      // SAFETY: the kernel reads four bytes.
      _ = unsafe setsockopt(end, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    }
    let echo = try BareEcho(far, count)
    var (buffer, times) = ([UInt8](repeating: 0, count: 64), [Double]())
    for _ in 0..<count {
      times.append(
        seconds {
          // SAFETY: 64 bytes each way.
          _ = unsafe send(near, buffer, 64, 0)
          _ = unsafe recv(near, &buffer, 64, Int32(MSG_WAITALL))
        }
      )
    }
    echo.wait()
    return times
  }
}

/// The far end of a bare echo, on a thread of its own.
private final class BareEcho {
  private let loop: Latch

  init(_ socket: Int32, _ count: Int) throws {
    let done = Latch()
    loop = done
    let work = Work(socket: socket, count: count, done: done)
    var thread = pthread_t()
    let context = unsafe Unmanaged.passRetained(work)
    // SAFETY: the thread takes over the retained reference.
    let code = unsafe pthread_create(
      &thread,
      nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      },
      context.toOpaque()
    )
    guard code == 0 else {
      unsafe context.release()
      throw CommandFailure("no thread left")
    }
    pthread_detach(thread)
  }

  func wait() { loop.wait() }

  private final class Work {
    let socket: Int32
    let count: Int
    let done: Latch

    init(socket: Int32, count: Int, done: Latch) {
      self.socket = socket
      self.count = count
      self.done = done
    }

    func run() {
      var buffer = [UInt8](repeating: 0, count: 64)
      for _ in 0..<count {
        // SAFETY: 64 bytes each way.
        _ = unsafe recv(socket, &buffer, 64, Int32(MSG_WAITALL))
        _ = unsafe send(socket, buffer, 64, 0)
      }
      done.open()
    }
  }
}
