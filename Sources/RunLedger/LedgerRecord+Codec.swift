// Apache-2.0.
public import Codecs

/// Byte form of a record:
///
///     kind u8 | run varint | fields of the kind in the order of its declaration
///
/// A task with a batch of its own has kind 11; of others the batch is left out.
extension LedgerRecord: WireCodable {
  enum Kind: UInt8 {
    case run = 1
    case client
    case task
    case contribution
    case aggregation
    case evaluation
    case state
    case base
    case layout
    case checkpoint
    case deviceTask
  }

  /// What is unique about a record.
  struct Key {
    let run: UInt32
    var round: UInt32?
    var client: UInt32?
  }

  var kind: Kind {
    switch self {
    case .run: .run
    case .client: .client
    case .task(_, _, _, _, let batch): batch == 0 ? .task : .deviceTask
    case .contribution: .contribution
    case .aggregation: .aggregation
    case .evaluation: .evaluation
    case .state: .state
    case .base: .base
    case .layout: .layout
    case .checkpoint: .checkpoint
    }
  }

  /// A run is unique by itself, a client by its ordinal, an aggregation, evaluation or checkpoint by the
  /// round (client 0 stands for "all"), a task and a contribution by round and client.
  var key: Key {
    switch self {
    case .run(let run, _, _): Key(run: run, round: 0, client: 0)
    case .client(let run, let ordinal, _, _): Key(run: run, round: 0, client: ordinal)
    case .task(let run, let round, let client, _, _): Key(run: run, round: round, client: client)
    case .contribution(let run, let round, let client, _, _):
      Key(run: run, round: round, client: client)
    case .aggregation(let run, let round, _, _): Key(run: run, round: round, client: 0)
    case .evaluation(let run, let round, _, _): Key(run: run, round: round, client: 0)
    case .checkpoint(let run, let round, _, _): Key(run: run, round: round, client: 0)
    case .state(let run, _, _): Key(run: run)
    case .base(let run, _), .layout(let run, _): Key(run: run, round: 0, client: 0)
    }
  }

  /// Longest text, configuration or payload the ledger takes back.
  static let limit = 1 << 26

  /// Appends the record.
  public func encode(into writer: inout ByteWriter) {
    writer.write(kind.rawValue)
    writer.writeVarint(UInt64(key.run))
    switch self {
    case .run(_, let name, let configuration):
      writer.write(string: name)
      writer.write(count: configuration.count)
      writer.write(bytes: configuration)
    case .client(_, let ordinal, let name, let examples):
      writer.writeVarint(UInt64(ordinal))
      writer.write(string: name)
      writer.writeVarint(examples)
    case .task(_, let round, let client, let steps, let batch):
      for field in [round, client, steps] { writer.writeVarint(UInt64(field)) }
      if batch > 0 { writer.writeVarint(UInt64(batch)) }
    case .contribution(_, let round, let client, let loss, let payload):
      for field in [round, client] { writer.writeVarint(UInt64(field)) }
      writer.write(loss)
      writer.write(count: payload.count)
      writer.write(bytes: payload)
    case .aggregation(_, let round, let weights, let digest):
      writer.writeVarint(UInt64(round))
      writer.write(count: weights.count)
      for item in weights {
        writer.writeVarint(UInt64(item.client))
        writer.writeVarint(UInt64(item.base))
        writer.writeVarint(UInt64(item.weight))
      }
      digest.encode(into: &writer)
    case .evaluation(_, let round, let loss, let accuracy):
      writer.writeVarint(UInt64(round))
      writer.write(loss.bitPattern)
      writer.write(UInt8(accuracy == nil ? 0 : 1))
      if let accuracy { writer.write(accuracy.bitPattern) }
    case .checkpoint(_, let round, let pending, let state):
      writer.writeVarint(UInt64(round))
      TaskName.encode(pending, into: &writer)
      writer.write(count: state.count)
      writer.write(bytes: state)
    case .base(_, let digest): digest.encode(into: &writer)
    case .layout(_, let blocks):
      writer.write(count: blocks.count)
      writer.write(bytes: blocks)
    case .state(_, let state, let reason):
      writer.write(string: state.rawValue)
      writer.write(string: reason)
    }
  }

  /// Reads a record.
  public init(from reader: inout ByteReader) throws(CodecError) {
    let code = try reader.read(UInt8.self)
    guard let kind = Kind(rawValue: code) else {
      throw .outOfRange(field: "record kind", value: "\(code)", allowed: "1...11")
    }
    let run = try Self.number(&reader, "run")
    switch kind {
    case .run:
      self = .run(
        id: run,
        name: try reader.readString(limit: Self.limit, field: "name"),
        configuration: try Self.bytes(&reader, "configuration")
      )
    case .client:
      self = .client(
        run: run,
        ordinal: try Self.number(&reader, "ordinal"),
        name: try reader.readString(limit: Self.limit, field: "name"),
        examples: try reader.readVarint()
      )
    case .task, .deviceTask:
      self = .task(
        run: run,
        round: try Self.number(&reader, "round"),
        client: try Self.number(&reader, "client"),
        steps: try Self.number(&reader, "steps"),
        batch: kind == .task ? 0 : max(1, try Self.number(&reader, "batch"))
      )
    case .contribution:
      self = .contribution(
        run: run,
        round: try Self.number(&reader, "round"),
        client: try Self.number(&reader, "client"),
        loss: try reader.readFloat(),
        payload: try Self.bytes(&reader, "payload")
      )
    case .aggregation:
      let round = try Self.number(&reader, "round")
      // Three bytes a weight at the least bound what the count may announce.
      let count = try reader.readCount(limit: reader.remaining / 3, field: "weights")
      var weights: [ClientWeight] = []
      for _ in 0..<count {
        weights.append(
          ClientWeight(
            client: try Self.number(&reader, "client"),
            base: try Self.number(&reader, "base"),
            weight: try Self.number(&reader, "weight")
          )
        )
      }
      self = .aggregation(
        run: run,
        round: round,
        weights: weights,
        digest: try Digest(from: &reader)
      )
    case .evaluation:
      let round = try Self.number(&reader, "round")
      let loss = Double(bitPattern: try reader.read(UInt64.self))
      let hasAccuracy = try reader.read(UInt8.self) == 1
      self = .evaluation(
        run: run,
        round: round,
        loss: loss,
        accuracy: hasAccuracy ? Double(bitPattern: try reader.read(UInt64.self)) : nil
      )
    case .checkpoint:
      self = .checkpoint(
        run: run,
        round: try Self.number(&reader, "round"),
        pending: try TaskName.decode(&reader),
        state: try Self.bytes(&reader, "state")
      )
    case .base: self = .base(run: run, digest: try Digest(from: &reader))
    case .layout: self = .layout(run: run, blocks: try Self.bytes(&reader, "tensors"))
    case .state:
      let name = try reader.readString(limit: 64, field: "state")
      guard let state = RunState(rawValue: name) else {
        throw .malformed(field: "state", reason: "no run state is called \(name)")
      }
      self = .state(
        run: run,
        state: state,
        reason: try reader.readString(limit: Self.limit, field: "reason")
      )
    }
  }

  fileprivate static func number(
    _ reader: inout ByteReader,
    _ field: String
  ) throws(CodecError) -> UInt32 {
    UInt32(try reader.readCount(limit: Int(UInt32.max), field: field))
  }

  private static func bytes(
    _ reader: inout ByteReader,
    _ field: String
  ) throws(CodecError) -> [UInt8] {
    Array(try reader.readBytes(try reader.readCount(limit: limit, field: field)))
  }
}

extension LedgerRecord.TaskName {
  /// Appends names.
  ///
  ///     count varint | for each: client varint, base varint
  static func encode(_ names: [Self], into writer: inout ByteWriter) {
    writer.write(count: names.count)
    for name in names {
      writer.writeVarint(UInt64(name.client))
      writer.writeVarint(UInt64(name.base))
    }
  }

  static func decode(_ reader: inout ByteReader) throws(CodecError) -> [Self] {
    // Two bytes a name at the least bound what the count may announce.
    let count = try reader.readCount(limit: reader.remaining / 2, field: "pending")
    var names: [Self] = []
    for _ in 0..<count {
      names.append(
        Self(
          client: try LedgerRecord.number(&reader, "client"),
          base: try LedgerRecord.number(&reader, "base")
        )
      )
    }
    return names
  }
}
