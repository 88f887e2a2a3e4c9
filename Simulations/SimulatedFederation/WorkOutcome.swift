// Apache-2.0.
import Codecs
import Coordination
import FederatedCore
import Participation

/// What came of a piece of work.
///
///     0 trained    | mean loss f32 | skipped varint | clipped varint | payload | memory
///     1 evaluated  | loss f64 | 0, or 1 and accuracy f64
///     2 training failed, 3 evaluation failed: text
enum WorkOutcome: Sendable {
  case trained(Result<LocalResult, ParticipationFailure>)
  case evaluated(Result<VersionScore, PreparationFailure>)

  /// Bytes of a payload or text at most.
  private static let limit = 1 << 30

  init(from reader: inout ByteReader) throws(CodecError) {
    switch try reader.read(UInt8.self) {
    case 0:
      let loss = try reader.readFloat()
      let skipped = try reader.readCount(limit: Int(UInt32.max), field: "skipped")
      let clipped = try reader.readCount(limit: Int(UInt32.max), field: "clipped")
      let count = try reader.readCount(limit: Self.limit, field: "payload")
      let payload = Array(try reader.readBytes(count))
      let size = try reader.readCount(limit: Self.limit, field: "memory")
      self = .trained(
        .success(
          LocalResult(
            payload: payload,
            meanLoss: loss,
            skippedSteps: skipped,
            clippedSteps: clipped,
            memory: Array(try reader.readBytes(size))
          )
        )
      )
    case 1:
      let loss = Double(bitPattern: try reader.read(UInt64.self))
      let hasAccuracy = try reader.read(UInt8.self) == 1
      let accuracy = hasAccuracy ? Double(bitPattern: try reader.read(UInt64.self)) : nil
      self = .evaluated(.success(VersionScore(loss: loss, accuracy: accuracy)))
    case 2:
      let text = try reader.readString(limit: Self.limit, field: "failure")
      self = .trained(.failure(ParticipationFailure(text)))
    case 3:
      let text = try reader.readString(limit: Self.limit, field: "failure")
      self = .evaluated(.failure(PreparationFailure(text)))
    case let code: throw .outOfRange(field: "outcome", value: "\(code)", allowed: "0...3")
    }
  }

  func encode(into writer: inout ByteWriter) {
    switch self {
    case .trained(.success(let result)):
      writer.write(UInt8(0))
      writer.write(result.meanLoss.bitPattern)
      writer.write(count: result.skippedSteps)
      writer.write(count: result.clippedSteps)
      writer.write(count: result.payload.count)
      writer.write(bytes: result.payload)
      writer.write(count: result.memory.count)
      writer.write(bytes: result.memory)
    case .evaluated(.success(let score)):
      writer.write(UInt8(1))
      writer.write(score.loss.bitPattern)
      writer.write(UInt8(score.accuracy == nil ? 0 : 1))
      if let accuracy = score.accuracy { writer.write(accuracy.bitPattern) }
    case .trained(.failure(let failure)):
      writer.write(UInt8(2))
      writer.write(string: failure.description)
    case .evaluated(.failure(let failure)):
      writer.write(UInt8(3))
      writer.write(string: failure.description)
    }
  }
}
