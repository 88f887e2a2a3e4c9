// Apache-2.0.
public import Codecs

/// What a device trains of a run whose devices train different parts, and how fast it is.
///
///     memory varint: bytes it has for training, 0 for no bound | frozen u8
///     | rank varint | batch varint
///     | nanoseconds varint of a step on one example | the same on the batch
public struct DeviceProfile: WireCodable, Hashable {
  /// How matrices that cannot change are held.
  public enum Frozen: UInt8, Sendable, CaseIterable {
    /// As the checkpoint has them.
    case stored
    /// In two bytes an element.
    case bf16
    /// In one.
    case int8
  }

  /// Bytes it has for training, 0 for no bound.
  public let memory: UInt64
  /// How it holds matrices that cannot change.
  public let frozen: Frozen
  /// Ranks of adapters that it trains.
  public let rank: UInt32
  /// Examples of a batch that it has room for.
  public let batchSize: UInt32
  /// Nanoseconds of a local step on one example.
  public let shortStep: UInt64
  /// Nanoseconds of a local step on the whole batch.
  public let longStep: UInt64

  /// Nanoseconds of a step at most: a day.
  public static let longestStep: UInt64 = 86_400_000_000_000

  /// A profile.
  public init(
    memory: UInt64,
    frozen: Frozen,
    rank: UInt32,
    batchSize: UInt32,
    shortStep: UInt64,
    longStep: UInt64
  ) {
    self.memory = memory
    self.frozen = frozen
    self.rank = rank
    self.batchSize = batchSize
    self.shortStep = shortStep
    self.longStep = longStep
  }

  /// Reads the fields.
  public init(from reader: inout ByteReader) throws(CodecError) {
    memory = try reader.readVarint()
    let code = try reader.read(UInt8.self)
    guard let frozen = Frozen(rawValue: code) else {
      throw .outOfRange(field: "frozen", value: "\(code)", allowed: "0...2")
    }
    self.frozen = frozen
    rank = UInt32(try Self.count(&reader, "rank"))
    batchSize = UInt32(try Self.count(&reader, "batch"))
    shortStep = try Self.nanoseconds(&reader)
    longStep = try Self.nanoseconds(&reader)
  }

  /// Appends the fields.
  public func encode(into writer: inout ByteWriter) {
    writer.writeVarint(memory)
    writer.write(frozen.rawValue)
    writer.write(number: rank)
    writer.write(number: batchSize)
    writer.writeVarint(shortStep)
    writer.writeVarint(longStep)
  }

  private static func count(
    _ reader: inout ByteReader,
    _ field: String
  ) throws(CodecError) -> Int {
    let count = try reader.readCount(limit: 1 << 20, field: field)
    guard count > 0 else { throw .outOfRange(field: field, value: "0", allowed: "1…") }
    return count
  }

  private static func nanoseconds(_ reader: inout ByteReader) throws(CodecError) -> UInt64 {
    let time = try reader.readVarint()
    guard time <= longestStep else {
      throw .outOfRange(field: "step", value: "\(time) ns", allowed: "0...\(longestStep)")
    }
    return time
  }
}
