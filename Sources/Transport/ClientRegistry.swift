// Apache-2.0.
import Codecs

/// One line of what the authority has done.
///
///     token TOKEN NAME EXPIRY
///     enrolled TOKEN NAME SERIAL KEY EXPIRY CERTIFICATE
///     renewed NAME SERIAL KEY EXPIRY
///     revoked NAME
///
/// TOKEN and KEY are SHA-256 in hexadecimal, EXPIRY seconds since 1970, CERTIFICATE base64url of DER.
enum RegistryRecord: Equatable {
  /// A token was given out; only its hash is kept.
  case token(hash: String, name: String, expiry: Int64)
  /// A token was redeemed: it counts no more, and earlier certificates of the name neither.
  case enrolled(
    token: String,
    name: String,
    serial: String,
    key: String,
    expiry: Int64,
    der: [UInt8]
  )
  /// A client got a further certificate.
  case renewed(name: String, serial: String, key: String, expiry: Int64)
  /// Neither certificates nor tokens of the name count any more.
  case revoked(name: String)

  /// The record as words.
  var words: [String] {
    switch self {
    case .token(let hash, let name, let expiry): ["token", hash, name, "\(expiry)"]
    case .enrolled(let token, let name, let serial, let key, let expiry, let der):
      ["enrolled", token, name, serial, key, "\(expiry)", TextCode.base64(der)]
    case .renewed(let name, let serial, let key, let expiry):
      ["renewed", name, serial, key, "\(expiry)"]
    case .revoked(let name): ["revoked", name]
    }
  }

  /// A record from its words; nil where they are none.
  init?(_ words: [String]) {
    switch (words.first, words.count) {
    case ("token", 4):
      guard let expiry = Int64(words[3]) else { return nil }
      self = .token(hash: words[1], name: words[2], expiry: expiry)
    case ("enrolled", 7):
      guard let expiry = Int64(words[5]), let der = TextCode.bytes(base64: words[6]) else {
        return nil
      }
      self = .enrolled(
        token: words[1],
        name: words[2],
        serial: words[3],
        key: words[4],
        expiry: expiry,
        der: der
      )
    case ("renewed", 5):
      guard let expiry = Int64(words[4]) else { return nil }
      self = .renewed(name: words[1], serial: words[2], key: words[3], expiry: expiry)
    case ("revoked", 2): self = .revoked(name: words[1])
    default: return nil
    }
  }

  /// The record as a line: eight digits of SHA-256 of the rest, then the words.
  var line: String {
    let text = words.joined(separator: " ")
    return "\(Self.check(text)) \(text)"
  }

  /// Reads a line; nil where it is damaged.
  init?(line: String) {
    let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    guard let check = words.first, words.count > 1 else { return nil }
    let rest = Array(words.dropFirst())
    guard check == Self.check(rest.joined(separator: " ")) else { return nil }
    self.init(rest)
  }

  private static func check(_ text: String) -> String {
    String(Digest.sha256(of: Array(text.utf8)).description.prefix(8))
  }
}

/// Where the authority keeps its records; what `append` returned from survives a crash.
protocol ClientRegistry: Sendable {
  /// All records in order.
  func records() throws(TransportError) -> [RegistryRecord]
  /// Adds a record durably.
  func append(_ record: RegistryRecord) throws(TransportError)
}

/// What the records amount to.
struct ClientList {
  /// A client with a name.
  struct Entry {
    var serials: Set<String> = []
    var expiry: Int64 = 0
    var isRevoked = false
  }

  /// A token that was given out.
  struct Token {
    let name: String
    let expiry: Int64
    /// Key and certificate it was redeemed for.
    var redeemed: (key: String, der: [UInt8])?
    var isRevoked = false
  }

  private(set) var clients: [String: Entry] = [:]
  private(set) var tokens: [String: Token] = [:]

  /// Takes in the next record.
  mutating func apply(_ record: RegistryRecord) {
    switch record {
    case .token(let hash, let name, let expiry):
      tokens[hash] = Token(name: name, expiry: expiry)
    case .enrolled(let token, let name, let serial, let key, let expiry, let der):
      tokens[token]?.redeemed = (key, der)
      clients[name] = Entry(serials: [serial], expiry: expiry)
    case .renewed(let name, let serial, _, let expiry):
      clients[name]?.serials.insert(serial)
      clients[name]?.expiry = expiry
    case .revoked(let name):
      clients[name]?.serials = []
      clients[name]?.isRevoked = true
      for (hash, token) in tokens where token.name == name { tokens[hash]?.isRevoked = true }
    }
  }
}
