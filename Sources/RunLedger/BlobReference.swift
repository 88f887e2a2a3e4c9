// Apache-2.0.
import Codecs

/// A record whose block lies in a file, as the ledger's row has it.
///
///     0xC0 | run varint | round varint | client varint | loss f32 | length varint | SHA-256 32
///     0xC1 | run varint | round varint | pending: count varint, each client varint, base varint
///          | length varint | SHA-256 32
struct BlobReference: WireCodable {
  /// The contribution or checkpoint, with no block.
  let record: LedgerRecord
  let length: Int
  let digest: Digest

  /// Beyond the kinds of `LedgerRecord`.
  static let contribution: UInt8 = 0xC0
  private static let checkpoint: UInt8 = 0xC1

  /// Whether the body of a row is a reference.
  static func isOne(_ body: [UInt8]) -> Bool {
    body.first == contribution || body.first == checkpoint
  }

  /// A reference to the block of a record, which has one.
  init(_ record: LedgerRecord, length: Int, digest: Digest) {
    self.record = record.with(block: [])
    self.length = length
    self.digest = digest
  }

  init(from reader: inout ByteReader) throws(CodecError) {
    func number(_ field: String) throws(CodecError) -> UInt32 {
      UInt32(try reader.readCount(limit: Int(UInt32.max), field: field))
    }
    switch try reader.read(UInt8.self) {
    case Self.contribution:
      record = .contribution(
        run: try number("run"),
        round: try number("round"),
        client: try number("client"),
        loss: try reader.readFloat(),
        payload: []
      )
    case Self.checkpoint:
      record = .checkpoint(
        run: try number("run"),
        round: try number("round"),
        pending: try LedgerRecord.TaskName.decode(&reader),
        state: []
      )
    case let mark: throw .outOfRange(field: "reference", value: "\(mark)", allowed: "192...193")
    }
    length = try reader.readCount(limit: 1 << 40, field: "length")
    digest = try Digest(from: &reader)
  }

  func encode(into writer: inout ByteWriter) {
    switch record {
    case .contribution(let run, let round, let client, let loss, _):
      writer.write(Self.contribution)
      for field in [run, round, client] { writer.writeVarint(UInt64(field)) }
      writer.write(loss)
    case .checkpoint(let run, let round, let pending, _):
      writer.write(Self.checkpoint)
      for field in [run, round] { writer.writeVarint(UInt64(field)) }
      LedgerRecord.TaskName.encode(pending, into: &writer)
    default: preconditionFailure("a \(record.kind) has no block")
    }
    writer.write(count: length)
    digest.encode(into: &writer)
  }
}
