// Apache-2.0.
public import Codecs

/// What brings a client to a model version.
///
///     0                                       the client holds it already
///     1 | first round varint | rounds varint  fold these rounds, oldest first, each
///         contributions varint, each client varint | weight varint | steps varint
///                                    | payload: varint length, bytes
///     2 | snapshot: varint length, bytes      restore this state
public enum VersionSync: WireCodable, Equatable {
  /// One client's part of a round that was folded.
  public struct Part: Sendable, Equatable {
    /// The client's ordinal.
    public let client: UInt32
    /// Its integer weight.
    public let weight: UInt32
    /// Local steps of its task.
    public let steps: UInt32
    /// Its payload.
    public let payload: [UInt8]

    /// A part.
    public init(client: UInt32, weight: UInt32, steps: UInt32, payload: [UInt8]) {
      self.client = client
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
  case snapshot([UInt8])

  /// Bytes of a snapshot at most.
  public static let maximumSnapshot = 63 << 20

  /// Reads the value.
  public init(from reader: inout ByteReader) throws(CodecError) {
    switch try reader.read(UInt8.self) {
    case 0: self = .none
    case 1:
      let first = try reader.readNumber("first round")
      // A round takes a byte at the least and a part four: what is left bounds what is announced.
      let count = try reader.readCount(limit: reader.remaining, field: "rounds")
      var rounds: [[Part]] = []
      for _ in 0..<count {
        let parts = try reader.readCount(limit: reader.remaining / 4, field: "contributions")
        var round: [Part] = []
        for _ in 0..<parts { round.append(try Self.part(&reader)) }
        rounds.append(round)
      }
      self = .rounds(first: first, rounds)
    case 2: self = .snapshot(try reader.readBlock(limit: Self.maximumSnapshot, "snapshot"))
    case let code: throw .outOfRange(field: "sync", value: "\(code)", allowed: "0...2")
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
      for round in rounds {
        writer.write(count: round.count)
        for part in round {
          for field in [part.client, part.weight, part.steps] { writer.write(number: field) }
          writer.write(block: part.payload)
        }
      }
    case .snapshot(let bytes):
      writer.write(UInt8(2))
      writer.write(block: bytes)
    }
  }

  private static func part(_ reader: inout ByteReader) throws(CodecError) -> Part {
    Part(
      client: try reader.readNumber("client"),
      weight: try reader.readNumber("weight"),
      steps: try reader.readNumber("steps"),
      payload: try reader.readBlock(limit: TaskResult.maximumPayload, "payload")
    )
  }
}
