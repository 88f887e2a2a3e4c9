// Apache-2.0.
public import Codecs

/// What a new client needs to enrol, as one word to copy.
///
///     "samara-" | base64url of:
///       version u8 = 1 | expiry, seconds since 1970, varint | secret 16 | authority SHA-256 32
///       | name string | addresses: count varint, strings | check: first 4 bytes of SHA-256 of all
///
/// The secret counts once. The fingerprint makes sure that it is told to nobody but the server.
public struct EnrolmentToken: Sendable, Equatable {
  /// Until when the token counts, since 1970.
  public let expiry: Duration
  /// What only the holder of the token and the server know.
  let secret: [UInt8]
  /// SHA-256 of the authority's certificate.
  public let authority: Digest
  /// The client's name to be.
  public let name: String
  /// Where the server listens.
  public let addresses: [SocketAddress]

  private static let prefix = "samara-"
  static let secretBytes = 16
  static let mostAddresses = 8

  init(
    expiry: Duration,
    secret: [UInt8],
    authority: Digest,
    name: String,
    addresses: [SocketAddress]
  ) {
    self.expiry = expiry
    self.secret = secret
    self.authority = authority
    self.name = name
    self.addresses = addresses
  }

  /// Reads a token.
  ///
  /// - Throws: `TransportError.token` with what is wrong with it.
  public init(_ text: String) throws(TransportError) {
    guard text.hasPrefix(Self.prefix) else { throw .token("does not begin with \(Self.prefix)") }
    guard text.utf8.count <= 4096, let bytes = TextCode.bytes(base64: text.dropFirst(7)),
      bytes.count > 4
    else { throw .token("not the text that `fedserver enroll` printed; copy the whole word") }
    let body = bytes.dropLast(4)
    guard Digest.sha256(of: body).bytes.prefix(4).elementsEqual(bytes.suffix(4)) else {
      throw .token("damaged on the way; copy the whole word")
    }
    do throws(CodecError) {
      try self.init(body: Array(body))
    } catch {
      throw .token("\(error)")
    }
  }

  /// Reads what is between prefix and check.
  package init(body: [UInt8]) throws(CodecError) {
    var reader = ByteReader(body)
    let version = try reader.read(UInt8.self)
    guard version == 1 else {
      throw .outOfRange(field: "version", value: "\(version)", allowed: "1")
    }
    expiry = .seconds(try reader.readCount(limit: 1 << 40, field: "expiry"))
    secret = Array(try reader.readBytes(Self.secretBytes))
    authority = try Digest(from: &reader)
    name = try reader.readString(limit: ClientName.maximumBytes, field: "name")
    var list: [SocketAddress] = []
    for _ in 0..<(try reader.readCount(limit: Self.mostAddresses, field: "addresses")) {
      let text = try reader.readString(limit: 300, field: "address")
      do throws(TransportError) {
        list.append(try SocketAddress(text))
      } catch {
        throw .malformed(field: "address", reason: "\(error)")
      }
    }
    addresses = list
    try reader.finish()
    guard ClientName.isAllowed(name) else {
      throw .malformed(field: "name", reason: "\(TransportError.name(name))")
    }
  }

  /// The token as one word.
  public var text: String {
    var writer = ByteWriter()
    writer.write(UInt8(1))
    writer.writeVarint(UInt64(expiry.components.seconds))
    writer.write(bytes: secret)
    authority.encode(into: &writer)
    writer.write(string: name)
    writer.write(count: addresses.count)
    for address in addresses { writer.write(string: address.description) }
    writer.write(bytes: Digest.sha256(of: writer.bytes).bytes.prefix(4))
    return Self.prefix + TextCode.base64(writer.bytes)
  }
}

/// The rule for names of clients: they appear in certificates, logs, paths and reports.
public enum ClientName {
  static let maximumBytes = 64

  /// Whether a client may be called so.
  ///
  /// 1 to 64 letters, digits, dots, dashes and underscores of ASCII, not beginning with a dot or dash.
  public static func isAllowed(_ name: String) -> Bool {
    let bytes = Array(name.utf8)
    guard let first = bytes.first, bytes.count <= maximumBytes else { return false }
    guard first != UInt8(ascii: "."), first != UInt8(ascii: "-") else { return false }
    return bytes.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
      case UInt8(ascii: "0")...UInt8(ascii: "9"): true
      default: "._-".utf8.contains(byte)
      }
    }
  }
}
