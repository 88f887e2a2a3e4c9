// Apache-2.0.
public import Codecs

/// The first words of a client: version varint | run varint | software text.
///
/// Who the client is, its certificate says.
public struct ClientHello: WireCodable, Equatable {
  /// `Message.version` of the client.
  public let version: UInt32
  /// The run the client took part in when it was last connected, 0 for none: where it has ended since,
  /// the server says so.
  public let run: UInt32
  /// Program and version, for people.
  public let software: String

  /// First words.
  public init(version: UInt32 = Message.version, run: UInt32 = 0, software: String) {
    self.version = version
    self.run = run
    self.software = software
  }

  /// Reads the message.
  public init(from reader: inout ByteReader) throws(CodecError) {
    version = try reader.readNumber("version")
    run = try reader.readNumber("run")
    software = try reader.readString(limit: 64, field: "software")
  }

  /// Appends the message.
  public func encode(into writer: inout ByteWriter) {
    writer.write(number: version)
    writer.write(number: run)
    writer.write(string: software)
  }
}

/// A client can take part in a run, or says why not.
///
///     run varint | 0 | reason text
///     run varint | 1 | base digest 32 | examples varint | parameters varint
///                    | version held varint | digest of it: first 8 bytes
///     run varint | 2 | the same | device: see `DeviceProfile`
public struct RunReady: WireCodable, Equatable {
  /// What a ready client holds.
  public struct Holding: Sendable, Equatable {
    /// Names the base weights, the trainable selection and a new head.
    public let base: Digest
    /// Examples the client trains on, its share of the weight.
    public let examples: UInt64
    /// Trainable parameters.
    public let parameters: UInt64
    /// Model version the client has kept from an earlier connection, 0 for the base.
    public let version: UInt32
    /// Digest of that version.
    public let digest: DigestPrefix
    /// What the device trains of the run, where devices train different parts.
    public let device: DeviceProfile?

    /// What a client holds.
    public init(
      base: Digest,
      examples: UInt64,
      parameters: UInt64,
      version: UInt32,
      digest: DigestPrefix,
      device: DeviceProfile? = nil
    ) {
      self.device = device
      self.base = base
      self.examples = examples
      self.parameters = parameters
      self.version = version
      self.digest = digest
    }
  }

  /// The answer.
  public enum Answer: Sendable, Equatable {
    /// The client waits for tasks.
    case ready(Holding)
    /// The client cannot take part: why, in its own words.
    case refused(String)
  }

  /// The run.
  public let run: UInt32
  /// Whether the client can take part.
  public let answer: Answer

  /// An answer to an offer.
  public init(run: UInt32, answer: Answer) {
    self.run = run
    self.answer = answer
  }

  /// Reads the message.
  public init(from reader: inout ByteReader) throws(CodecError) {
    run = try reader.readNumber("run")
    switch try reader.read(UInt8.self) {
    case 0: answer = .refused(try reader.readString(limit: Failure.maximumBytes, field: "reason"))
    case let code where code <= 2:
      answer = .ready(
        Holding(
          base: try Digest(from: &reader),
          examples: try reader.readVarint(),
          parameters: try reader.readVarint(),
          version: try reader.readNumber("version"),
          digest: try DigestPrefix(from: &reader),
          device: code == 2 ? try DeviceProfile(from: &reader) : nil
        )
      )
    case let code: throw .outOfRange(field: "answer", value: "\(code)", allowed: "0...2")
    }
  }

  /// Appends the message.
  public func encode(into writer: inout ByteWriter) {
    writer.write(number: run)
    switch answer {
    case .refused(let reason):
      writer.write(UInt8(0))
      writer.write(string: Failure.shortened(reason))
    case .ready(let holding):
      writer.write(UInt8(holding.device == nil ? 1 : 2))
      holding.base.encode(into: &writer)
      writer.writeVarint(holding.examples)
      writer.writeVarint(holding.parameters)
      writer.write(number: holding.version)
      holding.digest.encode(into: &writer)
      holding.device?.encode(into: &writer)
    }
  }
}

/// What a client made of a task.
///
///     run varint | round varint | digest of the version trained from: first 8 bytes
///     | mean loss f32 | skipped varint | clipped varint | payload: varint length, bytes
public struct TaskResult: WireCodable, Equatable {
  /// The run.
  public let run: UInt32
  /// The round the task was of.
  public let round: UInt32
  /// Names the version the client trained from.
  public let digest: DigestPrefix
  /// Bits of `LocalResult.meanLoss`: NaN equals itself here.
  public let meanLossBits: UInt32
  /// Steps skipped because a loss was not finite.
  public let skippedSteps: UInt32
  /// Steps whose scalar was clipped.
  public let clippedSteps: UInt32
  /// The contribution.
  public let payload: [UInt8]

  /// Mean loss over the steps that counted, NaN where none did.
  public var meanLoss: Float { Float(bitPattern: meanLossBits) }

  /// Bytes of a payload at most.
  public static let maximumPayload = 256 << 20

  /// A result.
  public init(
    run: UInt32,
    round: UInt32,
    digest: DigestPrefix,
    meanLoss: Float,
    skippedSteps: UInt32,
    clippedSteps: UInt32,
    payload: [UInt8]
  ) {
    self.run = run
    self.round = round
    self.digest = digest
    meanLossBits = meanLoss.bitPattern
    self.skippedSteps = skippedSteps
    self.clippedSteps = clippedSteps
    self.payload = payload
  }

  /// Reads the message.
  public init(from reader: inout ByteReader) throws(CodecError) {
    run = try reader.readNumber("run")
    round = try reader.readNumber("round")
    digest = try DigestPrefix(from: &reader)
    meanLossBits = try reader.read(UInt32.self)
    skippedSteps = try reader.readNumber("skipped steps")
    clippedSteps = try reader.readNumber("clipped steps")
    payload = try reader.readBlock(limit: Self.maximumPayload, "payload")
  }

  /// Appends the message.
  public func encode(into writer: inout ByteWriter) {
    encodeHead(into: &writer)
    writer.write(block: payload)
  }

  /// The message in pieces, a great payload by reference.
  var pieces: [MessagePiece] {
    var writer = PieceWriter()
    encodeHead(into: &writer.fields)
    writer.write(block: Blob(payload))
    return writer.finish()
  }

  /// The run and the round that the beginning of a result names; nil where it names none.
  public static func task(ofHead head: [UInt8]) -> (run: UInt32, round: UInt32)? {
    var reader = ByteReader(head)
    do throws(CodecError) {
      return (try reader.readNumber("run"), try reader.readNumber("round"))
    } catch {
      return nil
    }
  }

  private func encodeHead(into writer: inout ByteWriter) {
    writer.write(number: run)
    writer.write(number: round)
    digest.encode(into: &writer)
    writer.write(meanLossBits)
    writer.write(number: skippedSteps)
    writer.write(number: clippedSteps)
  }
}

/// Something went wrong: run varint (0 for none) | text.
public struct Failure: WireCodable, Equatable {
  /// The run it concerns, 0 where it concerns none.
  public let run: UInt32
  /// What was wrong, where, and what to do.
  public let text: String

  /// Bytes of the text at most.
  public static let maximumBytes = 4096

  /// A failure.
  public init(run: UInt32, text: String) {
    self.run = run
    self.text = text
  }

  /// Reads the message.
  public init(from reader: inout ByteReader) throws(CodecError) {
    run = try reader.readNumber("run")
    text = try reader.readString(limit: Self.maximumBytes, field: "text")
  }

  /// Appends the message.
  public func encode(into writer: inout ByteWriter) {
    writer.write(number: run)
    writer.write(string: Self.shortened(text))
  }

  /// The text, cut at a whole character where it is too long to travel.
  static func shortened(_ text: String) -> String {
    guard text.utf8.count > maximumBytes else { return text }
    var kept = ""
    var bytes = 3
    for character in text {
      bytes += character.utf8.count
      if bytes > maximumBytes { break }
      kept.append(character)
    }
    return kept + "…"
  }
}
