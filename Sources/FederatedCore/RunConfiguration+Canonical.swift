// Apache-2.0.
public import Codecs

/// The one byte form of a configuration: compact JSON in the order below, every default written
/// out, behind its length. What it decodes to is checked like a run file.
extension RunConfiguration: WireCodable {
  /// Appends the canonical bytes.
  public func encode(into writer: inout ByteWriter) {
    writer.write(string: json.serialized())
  }

  /// Reads canonical bytes and checks them as a run file.
  public init(from reader: inout ByteReader) throws(CodecError) {
    let text = try reader.readString(limit: Self.maximumBytes, field: "configuration")
    do throws(FederationError) {
      try self.init(json5: Array(text.utf8))
    } catch {
      throw .malformed(field: "configuration", reason: "\(error)")
    }
  }

  /// The configuration with every default written out.
  public var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init("name", .string(name)),
      .init("model", .string(model)),
      .init("task", task.json),
      .init("algorithm", algorithm.json),
      scheme.map { .init("scheme", .string($0)) }
        ?? .init("trainable", .array(trainable.map { .string($0) })),
      .init("frozen", .string(frozen)),
      .init("data", data.json),
      .init("rounds", .integer(Int64(rounds))),
      .init("schedule", schedule.json),
    ]
    if let evaluation { members.append(.init("evaluation", evaluation.json)) }
    members.append(.init("seed", .integer(Int64(seed))))
    members.append(.init("head_seed", .integer(Int64(headSeed))))
    if let simulation { members.append(.init("simulation", simulation.json)) }
    return .object(members)
  }

  /// The configuration with its relative paths placed below `folder`.
  public func resolved(against folder: String) throws(FederationError) -> RunConfiguration {
    func place(_ path: String) -> JSONValue {
      .string(path.hasPrefix("/") ? path : "\(folder)/\(path)")
    }
    let base = json
    var moved = base.replacing("model", by: place(model))
    for key in ["evaluation", "simulation"] {
      guard let section = base[key], case .string(let path)? = section["data"] else { continue }
      moved = moved.replacing(key, by: section.replacing("data", by: place(path)))
    }
    return try RunConfiguration(moved)
  }
}

extension JSONValue {
  /// The object with the value of one key replaced.
  fileprivate func replacing(_ key: String, by value: JSONValue) -> JSONValue {
    guard case .object(let members) = self else { return self }
    return .object(members.map { $0.key == key ? Member(key, value) : $0 })
  }
}

extension ModelTask {
  fileprivate var json: JSONValue {
    switch self {
    case .languageModeling: .string("language-modeling")
    case .classification(let labels):
      .object([
        .init("kind", .string("classification")),
        .init("labels", .array(labels.map { .string($0) })),
      ])
    }
  }
}

extension DataSection {
  fileprivate var json: JSONValue {
    .object([
      .init("format", .string(format)),
      .init("max_length", .integer(Int64(maximumLength))),
      .init("batch_size", .integer(Int64(batchSize))),
      .init("template", .string(template)),
    ])
  }
}

extension ScheduleSection {
  fileprivate var json: JSONValue {
    let members: [JSONValue.Member] = [
      .init("policy", .string(policy)),
      .init("clients", .integer(Int64(clients))),
      .init("over_selection", .number(overSelection)),
      .init("minimum", .integer(Int64(minimum))),
      .init("start_clients", .integer(Int64(startClients))),
      .init("deadline", .string(deadline.text)),
    ]
    let pace = surplus.map { [JSONValue.Member("surplus", .integer(Int64($0)))] } ?? []
    return .object(members + pace + (asynchrony?.members ?? []))
  }
}

extension EvaluationSection {
  fileprivate var json: JSONValue {
    .object([
      .init("data", .string(data)),
      .init("every", .integer(Int64(every))),
      .init("limit", .integer(Int64(limit))),
    ])
  }
}

extension SimulationSection {
  fileprivate var json: JSONValue {
    let members: [JSONValue.Member] = [
      .init("clients", .integer(Int64(clients))),
      .init("data", .string(data)),
      .init("partition", .object(partitionMembers)),
      .init("workers", .integer(Int64(workers))),
      .init("devices", devices.json),
    ]
    return .object(seconds > 0 ? members + [.init("seconds", .number(seconds))] : members)
  }

  private var partitionMembers: [JSONValue.Member] {
    let members: [JSONValue.Member] = [
      .init("kind", .string(partition)),
      .init("alpha", .number(alpha)),
      .init("field", .string(field)),
      .init("shards_per_client", .integer(Int64(shardsPerClient))),
    ]
    let own: [JSONValue.Member] =
      switch partition {
      case "zipf": [.init("exponent", .number(exponent))]
      case "dual-dirichlet": [.init("size_alpha", .number(sizeAlpha))]
      case "classes":
        [
          .init("least", .integer(Int64(leastClasses))),
          .init("most", .integer(Int64(mostClasses))),
        ]
      case "samples": [.init("examples", .integer(Int64(samples)))]
      default: []
      }
    return members + own
  }
}
