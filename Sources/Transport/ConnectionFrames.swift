// Apache-2.0.
public import Codecs
import WireProtocol

/// Kinds of frames that belong to the connection itself; all below 16.
///
///     1 ping       both     empty
///     2 pong       both     empty
///     3 goodbye    both     Goodbye
///     4 question   client   empty: who is your authority?
///     5 authority  server   certificate of the authority, DER
///     6 enrol      client   EnrolmentRequest
///     7 renew      client   certificate request, DER; only with a certificate
///     8 granted    server   certificate of the client, DER
///     9 announce   both     Announcement: a message that comes in chunks
///     10 request   both     ChunkPlace: a chunk of it, please
///     11 chunk     both     ChunkPlace.head, then the bytes
///     12 taken     both     number varint: the message is here
///     13 withdraw  both     number varint: the message will not come
enum ConnectionFrame: UInt8, CaseIterable {
  case ping = 1
  case pong, goodbye, question, authority, enrol, renew, granted
  case announce, request, chunk, taken, withdraw

  /// Lowest kind that the program above may use.
  static let firstFree: UInt8 = 16

  /// The largest body in bytes.
  var limit: Int {
    switch self {
    case .ping, .pong, .question: 0
    case .goodbye: 1024
    case .authority, .granted, .renew: 2048
    case .enrol: 2048 + 64
    case .announce: Announcement.limit
    case .request: ChunkPlace.headBytes + 4
    case .chunk: ChunkPlace.headBytes + ChunkPlace.longest
    case .taken, .withdraw: 8
    }
  }
}

/// The last words on a connection: code u8 | milliseconds until a new attempt varint | text.
public struct Goodbye: WireCodable, Equatable {
  /// Why.
  public enum Code: UInt8, Sendable, CaseIterable {
    /// The sender ends, or restarts.
    case leaving = 0
    /// Too many connections.
    case overloaded
    /// The peer may not connect: revoked, or unknown.
    case refused
    /// The same client has connected anew.
    case replaced
    /// The peer sent what the protocol does not allow.
    case violation
  }

  /// Why.
  public let code: Code
  /// When to come back, where the sender knows.
  public let retryAfter: Duration?
  /// For people; cut to 512 bytes when sent.
  public let text: String

  /// In milliseconds: more than eleven days.
  private static let longestRetry = 1_000_000_000
  private static let longestText = 512

  /// Last words.
  public init(_ code: Code, retryAfter: Duration? = nil, _ text: String) {
    self.code = code
    self.retryAfter = retryAfter
    self.text = text
  }

  /// Whether coming back will change nothing until a person has acted.
  public var isFinal: Bool { code == .refused }

  /// Reads the words.
  public init(from reader: inout ByteReader) throws(CodecError) {
    let number = try reader.read(UInt8.self)
    guard let code = Code(rawValue: number) else {
      throw .outOfRange(field: "goodbye", value: "\(number)", allowed: "0...4")
    }
    self.code = code
    let milliseconds = try reader.readCount(limit: Self.longestRetry, field: "retry")
    retryAfter = milliseconds == 0 ? nil : .milliseconds(milliseconds)
    text = try reader.readString(limit: Self.longestText, field: "text")
  }

  /// Appends the words.
  public func encode(into writer: inout ByteWriter) {
    writer.write(code.rawValue)
    let longest = Duration.milliseconds(Self.longestRetry)
    let (seconds, attoseconds) = min(max(.zero, retryAfter ?? .zero), longest).components
    writer.writeVarint(UInt64(seconds * 1000 + attoseconds / 1_000_000_000_000_000))
    var short = text
    while short.utf8.count > Self.longestText { short.removeLast() }
    writer.write(string: short)
  }
}
