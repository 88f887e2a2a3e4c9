// Apache-2.0.
public import Codecs

/// The server's answer to a client's first words: version varint | server text.
public struct Welcome: WireCodable, Equatable {
  /// `Message.version` of the server.
  public let version: UInt32
  /// Program and version, for people.
  public let software: String

  /// A welcome.
  public init(version: UInt32 = Message.version, software: String) {
    self.version = version
    self.software = software
  }

  /// Reads the message.
  public init(from reader: inout ByteReader) throws(CodecError) {
    version = try reader.readNumber("version")
    software = try reader.readString(limit: 64, field: "software")
  }

  /// Appends the message.
  public func encode(into writer: inout ByteWriter) {
    writer.write(number: version)
    writer.write(string: software)
  }
}

/// A run to take part in: run varint | configuration: varint length, bytes.
public struct RunOffer: WireCodable, Equatable {
  /// The run.
  public let run: UInt32
  /// Canonical bytes of its `RunConfiguration`.
  public let configuration: [UInt8]

  /// An offer.
  public init(run: UInt32, configuration: [UInt8]) {
    self.run = run
    self.configuration = configuration
  }

  /// Reads the message.
  public init(from reader: inout ByteReader) throws(CodecError) {
    run = try reader.readNumber("run")
    configuration = try reader.readBlock(limit: Message.Kind.offer.limit, "configuration")
  }

  /// Appends the message.
  public func encode(into writer: inout ByteWriter) {
    writer.write(number: run)
    writer.write(block: configuration)
  }
}

/// Work for one client.
///
///     run varint | round varint | client ordinal varint | steps varint
///     | milliseconds to the deadline varint | digest of the version to start from 32
///     | where the batch is chosen for the device: 4 | examples of it varint
///     | sync
public struct TaskOrder: WireCodable, Equatable {
  /// The run.
  public let run: UInt32
  /// Round; also the version to start from.
  public let round: UInt32
  /// The client's ordinal in the run.
  public let client: UInt32
  /// Local steps.
  public let steps: UInt32
  /// Milliseconds until the server no longer waits.
  public let deadline: UInt32
  /// Examples of a batch, chosen for the device; 0 where it is that of the run.
  public let batchSize: UInt32
  /// Digest of the version to start from.
  public let digest: Digest
  /// What brings the client to that version.
  public let sync: VersionSync

  /// Work.
  public init(
    run: UInt32,
    round: UInt32,
    client: UInt32,
    steps: UInt32,
    deadline: UInt32,
    digest: Digest,
    batchSize: UInt32 = 0,
    sync: VersionSync
  ) {
    self.batchSize = batchSize
    self.run = run
    self.round = round
    self.client = client
    self.steps = steps
    self.deadline = deadline
    self.digest = digest
    self.sync = sync
  }

  /// Reads the message.
  public init(from reader: inout ByteReader) throws(CodecError) {
    run = try reader.readNumber("run")
    round = try reader.readNumber("round")
    client = try reader.readNumber("client")
    steps = try reader.readNumber("steps")
    deadline = try reader.readNumber("deadline")
    digest = try Digest(from: &reader)
    var code = try reader.read(UInt8.self)
    if code == Self.batchCode {
      batchSize = try reader.readNumber("batch")
      guard batchSize > 0 else { throw .outOfRange(field: "batch", value: "0", allowed: "1…") }
      code = try reader.read(UInt8.self)
    } else {
      batchSize = 0
    }
    sync = try VersionSync(code, from: &reader)
  }

  /// What stands before a batch where a sync has its code.
  private static let batchCode: UInt8 = 4

  /// Appends the message.
  public func encode(into writer: inout ByteWriter) {
    encodeHead(into: &writer)
    sync.encode(into: &writer)
  }

  /// The message in pieces, great blocks by reference.
  var pieces: [MessagePiece] {
    var head = ByteWriter()
    encodeHead(into: &head)
    var pieces = sync.pieces
    guard case .bytes(let first)? = pieces.first else { return [.bytes(head.bytes)] + pieces }
    pieces[0] = .bytes(head.bytes + first)
    return pieces
  }

  private func encodeHead(into writer: inout ByteWriter) {
    for field in [run, round, client, steps, deadline] { writer.write(number: field) }
    digest.encode(into: &writer)
    guard batchSize > 0 else { return }
    writer.write(Self.batchCode)
    writer.write(number: batchSize)
  }
}

/// A run is over.
///
///     run varint | outcome u8 | rounds done varint | digest of the last version 32 | reason text
public struct RunEnd: WireCodable, Equatable {
  /// How a run ends.
  public enum Outcome: UInt8, Sendable {
    /// All rounds done.
    case completed
    /// Ended by an error.
    case failed
    /// Ended by a person.
    case stopped
  }

  /// The run.
  public let run: UInt32
  /// How it ended.
  public let outcome: Outcome
  /// Rounds done; the number of the last version.
  public let rounds: UInt32
  /// Digest of the last version.
  public let digest: Digest
  /// Why, for people.
  public let reason: String

  /// An end.
  public init(run: UInt32, outcome: Outcome, rounds: UInt32, digest: Digest, reason: String) {
    self.run = run
    self.outcome = outcome
    self.rounds = rounds
    self.digest = digest
    self.reason = reason
  }

  /// Reads the message.
  public init(from reader: inout ByteReader) throws(CodecError) {
    run = try reader.readNumber("run")
    let code = try reader.read(UInt8.self)
    guard let outcome = Outcome(rawValue: code) else {
      throw .outOfRange(field: "outcome", value: "\(code)", allowed: "0...2")
    }
    self.outcome = outcome
    rounds = try reader.readNumber("rounds")
    digest = try Digest(from: &reader)
    reason = try reader.readString(limit: Failure.maximumBytes, field: "reason")
  }

  /// Appends the message.
  public func encode(into writer: inout ByteWriter) {
    writer.write(number: run)
    writer.write(outcome.rawValue)
    writer.write(number: rounds)
    digest.encode(into: &writer)
    writer.write(string: Failure.shortened(reason))
  }
}
