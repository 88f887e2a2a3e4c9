// Apache-2.0.
import Codecs
import FederatedCore
import SharedRandomness

/// A session whose version is its accumulators: K shared directions, one integer each.
protocol SeededSession: AlgorithmSession {
  /// What a run file calls the algorithm.
  static var name: String { get }

  var step: ZerothOrderStep { get }
  var bank: DirectionBank { get }
  var count: Int { get }
  var key: UInt64 { get }
  /// Whether later draws depend on what earlier steps measured.
  var keepsHistory: Bool { get }
  var state: SeedState { get set }
}

extension SeededSession {
  func check(_ payload: [UInt8], for task: LocalTask) throws {
    try step.check(payload, for: task)
  }

  func weightUpdates() throws -> [WeightUpdate] {
    state.weightUpdates(bank, scaleExponent: step.scaleExponent)
  }

  func snapshot() -> [UInt8] {
    var writer = ByteWriter()
    state.encode(into: &writer)
    return writer.bytes
  }

  mutating func restore(_ snapshot: [UInt8]) throws {
    state = try SeedState(snapshot, count: count, keepsHistory: keepsHistory)
  }

  func digest(base: Digest) -> Digest {
    state.digest(base: base, name: Self.name, key: key, bank, scaleExponent: step.scaleExponent)
  }
}
