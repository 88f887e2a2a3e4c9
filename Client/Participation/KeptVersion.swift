// Apache-2.0.
public import Codecs
public import WireProtocol

/// What a client keeps on disk between two lives: the version it has reached and a result that the
/// server may not have.
///
///     "SMK2" | run varint | digest of the configuration 32 | version varint
///     | snapshot: varint length, bytes | memory: varint length, bytes | 0, or 1 and the TaskResult
///
/// Losing it costs bytes and a task done twice, nothing else: the server checks what it is told.
public struct KeptVersion: WireCodable, Equatable {
  /// The run, as the server numbers it.
  public let run: UInt32
  /// Names the run's configuration; another server may use the same number.
  public let configuration: Digest
  /// Model version, the number of rounds folded.
  public let version: UInt32
  /// `AlgorithmSession.snapshot` of it.
  public let snapshot: [UInt8]
  /// `LocalResult.memory` of the last task.
  public let memory: [UInt8]
  /// A result that is not acknowledged.
  public let result: TaskResult?

  /// Bytes of the memory at most.
  static let maximumMemory = 1 << 30
  private static let mark: UInt32 = 0x324B_4D53

  /// What to keep.
  public init(
    run: UInt32,
    configuration: Digest,
    version: UInt32,
    snapshot: [UInt8],
    result: TaskResult?,
    memory: [UInt8] = []
  ) {
    self.memory = memory
    self.run = run
    self.configuration = configuration
    self.version = version
    self.snapshot = snapshot
    self.result = result
  }

  /// Reads what was kept.
  public init(from reader: inout ByteReader) throws(CodecError) {
    let mark = try reader.read(UInt32.self)
    guard mark == Self.mark else {
      throw .malformed(field: "kept version", reason: "does not begin with SMK2")
    }
    run = UInt32(try reader.readCount(limit: Int(UInt32.max), field: "run"))
    configuration = try Digest(from: &reader)
    version = UInt32(try reader.readCount(limit: Int(UInt32.max), field: "version"))
    let count = try reader.readCount(limit: VersionSync.maximumBytes, field: "snapshot")
    snapshot = Array(try reader.readBytes(count))
    let size = try reader.readCount(limit: Self.maximumMemory, field: "memory")
    memory = Array(try reader.readBytes(size))
    switch try reader.read(UInt8.self) {
    case 0: result = nil
    case 1: result = try TaskResult(from: &reader)
    case let code: throw .outOfRange(field: "result", value: "\(code)", allowed: "0...1")
    }
  }

  /// Appends what is to be kept.
  public func encode(into writer: inout ByteWriter) {
    writer.write(Self.mark)
    writer.writeVarint(UInt64(run))
    configuration.encode(into: &writer)
    writer.writeVarint(UInt64(version))
    writer.write(count: snapshot.count)
    writer.write(bytes: snapshot)
    writer.write(count: memory.count)
    writer.write(bytes: memory)
    writer.write(UInt8(result == nil ? 0 : 1))
    result?.encode(into: &writer)
  }
}
