// Apache-2.0.
import Codecs
import FederatedCore

/// FedAvg and its family: clients go down their gradients, the server steps along the mean of their ways.
///
/// A contribution is a way, not a place: a late one counts from wherever the model is by then. A version
/// travels as the change of its integers, whole or by a codec; what a codec leaves out of a version is
/// part of the next (error feedback at the server).
struct DenseAverage: AlgorithmSession {
  private let name: String
  private let client: DenseClient
  private var server: DenseServer
  private let downlink: DeltaCodec
  private let scaleExponent: Int
  private var state: DenseState?
  /// What the server would hold if versions travelled whole; empty where they do.
  private var target: [Int32] = []
  /// The change of the last fold.
  private var change: [UInt8]?
  /// What `check` decoded for the next fold.
  private let checked = CheckedWays()

  init(_ configuration: JSONValue, preset: DensePreset) throws(AlgorithmError) {
    let settings = try AlgorithmSettings(
      configuration,
      known: ["steps", "scale_exponent", "downlink", "downlink_density"] + DenseClient.keys
        + DenseServer.keys
    )
    name = preset.name
    client = try DenseClient(settings, preset: preset)
    server = try DenseServer(settings, preset: preset)
    downlink = DeltaCodec(
      try settings.word("downlink", of: DeltaCodec.names),
      density: try settings.number("downlink_density", in: 1e-6...1, standard: 0.05)
    )
    scaleExponent = try settings.integer("scale_exponent", in: 8...30, standard: 24)
  }

  /// A mean takes ways of any age; an order of values is of one version.
  var acceptsStaleTasks: Bool { server.fold == .mean }

  var normalizesSteps: Bool { server.normalizes }

  mutating func begin(_ blocks: [ParameterBlock]) throws {
    let count = blocks.last?.range.upperBound ?? 0
    guard count > 0 else { throw AlgorithmError.setting("name", "no parameter trains") }
    if let state, state.count == count { return }
    state = DenseState(count: count)
  }

  func train(_ task: LocalTask, on trainer: inout any LocalTrainer) throws -> LocalResult {
    try client.train(task, on: &trainer)
  }

  func check(_ payload: [UInt8], for task: LocalTask) throws {
    guard checked.amounts(of: payload, for: task) == nil else { return }
    let way = try client.payload(payload, of: task, count: begun().count, wholly: true)
    if let amounts = way.whole { checked.keep(amounts, of: payload, for: task) }
  }

  mutating func fold(_ contributions: [Contribution]) throws {
    var state = try begun()
    var taken: [(contribution: Contribution, payload: DeltaPayload)] = []
    // In one order, so that whatever is refused is refused by everybody.
    for contribution in contributions.sorted(by: Self.comesFirst) {
      guard contribution.weight <= Contribution.aggregationWeight else {
        throw AlgorithmError.payload(
          client: contribution.task.client,
          round: contribution.task.round,
          "weight \(contribution.weight) is past \(Contribution.aggregationWeight)"
        )
      }
      // Whole since `check`; a chunk that is not would end the fold below.
      var payload = try client.payload(
        contribution.payload,
        of: contribution.task,
        count: state.count,
        wholly: false
      )
      payload.whole = checked.amounts(of: contribution.payload, for: contribution.task)
      taken.append((contribution, payload))
    }
    checked.removeAll()
    let before = state.integers
    let after = try server.step(
      from: target.isEmpty ? before : target,
      by: taken,
      exponent: client.exponent,
      scaleExponent: scaleExponent
    )
    var change = IntegerKernels.difference(after, before)
    self.change = downlink.encode(&change)
    if downlink.isLossless {
      state.set(after)
    } else {
      target = after
      state.set(IntegerKernels.difference(after, change))
    }
    self.state = state
  }

  func advance() -> [UInt8]? { change ?? [] }

  mutating func advance(by bytes: [UInt8]) throws {
    var state = try begun()
    do throws(CodecError) {
      try state.add(DeltaPayload(bytes, codec: downlink, count: state.count))
      self.state = state
    } catch {
      throw FederationError.advance("\(error)")
    }
  }

  func weightUpdates() throws -> [WeightUpdate] {
    try begun().weightUpdates(scaleExponent: scaleExponent)
  }

  func snapshot() -> [UInt8] { state?.snapshot() ?? [0] }

  mutating func restore(_ snapshot: [UInt8]) throws {
    let count = try begun().count
    do throws(CodecError) {
      state = try DenseState(snapshot, count: count)
    } catch {
      throw AlgorithmError.snapshot("\(error)")
    }
    change = nil
    target = []
  }

  /// The version, what its codec left out, and the moments of the optimiser.
  ///
  ///     snapshot: length varint, bytes | target: 0, or 1 and length varint, integers as fixed32
  ///     | first and second moments: each 0, or 1 and a binary64 for each element
  func checkpoint() -> [UInt8] {
    var writer = ByteWriter()
    let snapshot = snapshot()
    writer.write(count: snapshot.count)
    writer.write(bytes: snapshot)
    writer.write(UInt8(target.isEmpty ? 0 : 1))
    if !target.isEmpty {
      var left = target
      let whole = DeltaCodec.fixed(bits: 32).encode(&left)
      writer.write(count: whole.count)
      writer.write(bytes: whole)
    }
    server.encodeMoments(into: &writer)
    return writer.bytes
  }

  mutating func resume(from checkpoint: [UInt8]) throws {
    let count = try begun().count
    var resumed = self
    do {
      var reader = ByteReader(checkpoint)
      let length = try reader.readCount(limit: reader.remaining, field: "snapshot")
      try resumed.restore(Array(try reader.readBytes(length)))
      if try reader.read(UInt8.self) == 1 {
        let length = try reader.readCount(limit: reader.remaining, field: "target")
        let bytes = Array(try reader.readBytes(length))
        let whole = try DeltaPayload(bytes, codec: .fixed(bits: 32), count: count)
        resumed.target = try whole.decoded()
      }
      try resumed.server.decodeMoments(&reader, count: count)
      try reader.finish()
    } catch {
      throw AlgorithmError.snapshot("\(error)")
    }
    self = resumed
  }

  func digest(base: Digest) -> Digest {
    (state ?? DenseState(count: 0)).digest(base: base, name: name, scaleExponent: scaleExponent)
  }

  private func begun() throws(AlgorithmError) -> DenseState {
    guard let state else { throw .notBegun }
    return state
  }

  private static func comesFirst(_ a: Contribution, _ b: Contribution) -> Bool {
    (a.task.round, a.task.client) < (b.task.round, b.task.client)
  }
}
