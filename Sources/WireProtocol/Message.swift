// Apache-2.0.
public import Codecs

/// What server, clients and the administration tool say to one another, each as one frame.
///
///     kind      from     body
///     16 hello    client   ClientHello
///     17 ready    client   RunReady
///     18 result   client   TaskResult
///     19 resend   client   run varint: the state sent did not lead to its digest
///     20 failure  both     Failure
///     32 welcome  server   Welcome
///     33 offer    server   RunOffer
///     34 task     server   TaskOrder
///     35 ack      server   run varint | round varint
///     36 runEnd   server   RunEnd
///     48 admin    tool     JSON text: a request
///     49 reply    server   JSON text: a line of the answer
///
/// Kinds below 16 belong to the connection itself (heartbeats, goodbye, enrolment).
public enum Message: Sendable, Equatable {
  /// The first words of a client.
  case hello(ClientHello)
  /// A client has the model and data of a run, or says why not.
  case ready(RunReady)
  /// What a client made of a task.
  case result(TaskResult)
  /// The state of a task did not lead to its digest: send it whole.
  case resend(run: UInt32)
  /// Something went wrong; the text is for people.
  case failure(Failure)
  /// The server's answer to `hello`.
  case welcome(Welcome)
  /// A run to take part in.
  case offer(RunOffer)
  /// Work.
  case task(TaskOrder)
  /// A result is safe on the disk of the server and need not be kept.
  case acknowledged(run: UInt32, round: UInt32)
  /// A run is over.
  case runEnd(RunEnd)
  /// A request of the administration tool.
  case admin(JSONValue)
  /// A line of the answer to it.
  case reply(JSONValue)
}

extension Message {
  /// Version of the bodies; a peer of another version is refused in words.
  public static let version: UInt32 = 1

  /// Kind of the frame.
  public enum Kind: UInt8, Sendable, CaseIterable {
    case hello = 16
    case ready, result, resend, failure
    case welcome = 32
    case offer, task, acknowledged, runEnd
    case admin = 48
    case reply

    /// The largest body in bytes.
    public var limit: Int {
      switch self {
      case .hello, .resend, .welcome, .acknowledged: 256
      case .ready, .failure, .runEnd: 8 << 10
      case .result: TaskResult.maximumPayload + (1 << 10)
      case .offer, .admin: 2 << 20
      case .task: VersionSync.maximumBytes + (1 << 16)
      case .reply: 64 << 20
      }
    }

    /// The largest body in bytes that travels in one frame.
    public var frameLimit: Int {
      switch self {
      case .result, .task: Message.longestFrame
      default: limit
      }
    }

    /// Who may send it.
    public var senders: Set<Sender> {
      switch self {
      case .hello, .ready, .result, .resend: [.client]
      case .failure: [.client, .server]
      case .welcome, .offer, .task, .acknowledged, .runEnd, .reply: [.server]
      case .admin: [.tool]
      }
    }
  }

  /// An end of a connection.
  public enum Sender: Sendable, Hashable {
    case client
    case server
    /// The administration tool, on the socket in the server's folder.
    case tool
  }

  /// The largest body that `sender` may send under `kind` in one frame, nil where it may not send the
  /// kind.
  public static func limit(_ kind: UInt8, from sender: Sender) -> Int? {
    guard let kind = Kind(rawValue: kind), kind.senders.contains(sender) else { return nil }
    return kind.frameLimit
  }

  /// Kind of the message.
  public var kind: Kind {
    switch self {
    case .hello: .hello
    case .ready: .ready
    case .result: .result
    case .resend: .resend
    case .failure: .failure
    case .welcome: .welcome
    case .offer: .offer
    case .task: .task
    case .acknowledged: .acknowledged
    case .runEnd: .runEnd
    case .admin: .admin
    case .reply: .reply
    }
  }

  /// The bytes behind the frame's header.
  public var body: [UInt8] {
    switch self {
    case .hello(let body): return body.encoded
    case .ready(let body): return body.encoded
    case .result(let body): return body.encoded
    case .failure(let body): return body.encoded
    case .welcome(let body): return body.encoded
    case .offer(let body): return body.encoded
    case .task(let body): return body.encoded
    case .runEnd(let body): return body.encoded
    case .admin(let json), .reply(let json): return Array(json.serialized().utf8)
    case .resend(let run):
      var writer = ByteWriter()
      writer.writeVarint(UInt64(run))
      return writer.bytes
    case .acknowledged(let run, let round):
      var writer = ByteWriter()
      writer.writeVarint(UInt64(run))
      writer.writeVarint(UInt64(round))
      return writer.bytes
    }
  }

  /// Reads a message that fills `body` exactly.
  ///
  /// - Throws: `CodecError` where the kind is unknown or the body is not of its kind.
  public init(kind: UInt8, body: [UInt8]) throws(CodecError) {
    guard let known = Kind(rawValue: kind) else {
      throw .outOfRange(field: "message kind", value: "\(kind)", allowed: "16...49")
    }
    guard body.count <= known.limit else {
      throw .outOfRange(field: "body", value: "\(body.count) bytes", allowed: "\(known.limit)")
    }
    var reader = ByteReader(body)
    switch known {
    case .hello: self = .hello(try ClientHello(from: &reader))
    case .ready: self = .ready(try RunReady(from: &reader))
    case .result: self = .result(try TaskResult(from: &reader))
    case .resend: self = .resend(run: try reader.readNumber("run"))
    case .failure: self = .failure(try Failure(from: &reader))
    case .welcome: self = .welcome(try Welcome(from: &reader))
    case .offer: self = .offer(try RunOffer(from: &reader))
    case .task: self = .task(try TaskOrder(from: &reader))
    case .acknowledged:
      self = .acknowledged(
        run: try reader.readNumber("run"),
        round: try reader.readNumber("round")
      )
    case .runEnd: self = .runEnd(try RunEnd(from: &reader))
    case .admin:
      self = .admin(try Self.json(body))
      return
    case .reply:
      self = .reply(try Self.json(body))
      return
    }
    try reader.finish()
  }

  private static func json(_ body: [UInt8]) throws(CodecError) -> JSONValue {
    do throws(JSONError) {
      return try JSONValue.parse(body, limits: JSONLimits(bytes: Kind.reply.limit, depth: 32))
    } catch {
      throw .malformed(field: "json", reason: "\(error)")
    }
  }
}

extension ByteReader {
  /// A varint of 32 bits.
  mutating func readNumber(_ field: String) throws(CodecError) -> UInt32 {
    UInt32(try readCount(limit: Int(UInt32.max), field: field))
  }

  /// Bytes behind their varint length, refused above `limit`.
  mutating func readBlock(limit: Int, _ field: String) throws(CodecError) -> [UInt8] {
    Array(try readBytes(try readCount(limit: limit, field: field)))
  }
}

extension ByteWriter {
  /// A number as a varint.
  mutating func write(number: UInt32) { writeVarint(UInt64(number)) }

  /// Bytes behind their varint length.
  mutating func write(block: [UInt8]) {
    write(count: block.count)
    write(bytes: block)
  }
}
