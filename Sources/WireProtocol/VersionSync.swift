// Apache-2.0.
public import Codecs

/// What brings a client to a model version.
///
///     0                                       the client holds it already
///     1 | first round varint | rounds varint  fold these rounds, oldest first, each
///         contributions varint, each client varint | age varint | weight varint
///                                    | steps varint | payload: varint length, bytes
///     2 | snapshot: varint length, bytes      restore this state
///     3 | first round varint | rounds varint  advance by each, oldest first:
///         varint length, bytes
public enum VersionSync: WireCodable, Equatable {
  /// One client's part of a round that was folded.
  public struct Part: Sendable, Equatable {
    /// The client's ordinal.
    public let client: UInt32
    /// Version its task started from: the round less the age, which is 0 but for late results.
    public let base: UInt32
    /// Its integer weight.
    public let weight: UInt32
    /// Local steps of its task.
    public let steps: UInt32
    /// Its payload.
    public let payload: [UInt8]

    /// A part.
    public init(client: UInt32, base: UInt32, weight: UInt32, steps: UInt32, payload: [UInt8]) {
      self.client = client
      self.base = base
      self.weight = weight
      self.steps = steps
      self.payload = payload
    }
  }

  /// Nothing to do.
  case none
  /// The rounds from `first` on.
  case rounds(first: UInt32, [[Part]])
  /// A snapshot of the state.
  case snapshot(Blob)
  /// What `AlgorithmSession.advance` made of the rounds from `first` on.
  case advances(first: UInt32, [Blob])

  /// Bytes of a snapshot, or of all advances, at most.
  public static let maximumBytes = 1 << 30

  /// Reads the value.
  public init(from reader: inout ByteReader) throws(CodecError) {
    try self.init(try reader.read(UInt8.self), from: &reader)
  }

  /// Reads what follows its code.
  init(_ code: UInt8, from reader: inout ByteReader) throws(CodecError) {
    switch code {
    case 0: self = .none
    case 1:
      let first = try reader.readNumber("first round")
      // A round takes a byte at the least and a part five: what is left bounds what is announced.
      let count = try reader.readCount(limit: reader.remaining, field: "rounds")
      var rounds: [[Part]] = []
      for offset in 0..<UInt32(count) {
        let (round, overflow) = first.addingReportingOverflow(offset)
        guard !overflow else {
          throw .outOfRange(field: "round", value: "2^32", allowed: "32 bits")
        }
        let parts = try reader.readCount(limit: reader.remaining / 5, field: "contributions")
        var folded: [Part] = []
        for _ in 0..<parts { folded.append(try Self.part(&reader, of: round)) }
        rounds.append(folded)
      }
      self = .rounds(first: first, rounds)
    case 2:
      self = .snapshot(Blob(try reader.readBlock(limit: Self.maximumBytes, "snapshot")))
    case 3:
      let first = try reader.readNumber("first round")
      let count = try reader.readCount(limit: reader.remaining, field: "rounds")
      var rounds: [Blob] = []
      for _ in 0..<count {
        rounds.append(Blob(try reader.readBlock(limit: Self.maximumBytes, "advance")))
      }
      self = .advances(first: first, rounds)
    case let code: throw .outOfRange(field: "sync", value: "\(code)", allowed: "0...3")
    }
  }

  /// Appends the value.
  public func encode(into writer: inout ByteWriter) {
    switch self {
    case .none: writer.write(UInt8(0))
    case .rounds(let first, let rounds):
      writer.write(UInt8(1))
      writer.write(number: first)
      writer.write(count: rounds.count)
      for (offset, parts) in rounds.enumerated() {
        writer.write(count: parts.count)
        for part in parts {
          let age = first + UInt32(offset) - part.base
          for field in [part.client, age, part.weight, part.steps] { writer.write(number: field) }
          writer.write(block: part.payload)
        }
      }
    case .snapshot, .advances:
      for piece in pieces { writer.write(bytes: piece.bytes) }
    }
  }

  /// The value in pieces, great blocks by reference.
  var pieces: [MessagePiece] {
    var writer = PieceWriter()
    switch self {
    case .none, .rounds: encode(into: &writer.fields)
    case .snapshot(let blob):
      writer.fields.write(UInt8(2))
      writer.write(block: blob)
    case .advances(let first, let rounds):
      writer.fields.write(UInt8(3))
      writer.fields.write(number: first)
      writer.fields.write(count: rounds.count)
      for round in rounds { writer.write(block: round) }
    }
    return writer.finish()
  }

  private static func part(
    _ reader: inout ByteReader,
    of round: UInt32
  ) throws(CodecError) -> Part {
    let client = try reader.readNumber("client")
    let age = try reader.readNumber("age")
    guard age <= round else {
      throw .outOfRange(field: "age", value: "\(age)", allowed: "0...\(round)")
    }
    return Part(
      client: client,
      base: round - age,
      weight: try reader.readNumber("weight"),
      steps: try reader.readNumber("steps"),
      payload: try reader.readBlock(limit: TaskResult.maximumPayload, "payload")
    )
  }
}
