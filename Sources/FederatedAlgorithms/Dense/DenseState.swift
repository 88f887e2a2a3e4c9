// Apache-2.0.
import Codecs
import FederatedCore

/// A version of a dense method: one integer for each trainable element, w = fl32(base + 2^−s · I).
///
/// Everybody forms weights from I alone, so that digests agree; what the server's optimiser remembers
/// stays at the server.
struct DenseState: Sendable, Equatable {
  /// I, within ±`bound`; empty for the base.
  private(set) var amounts: [Int32] = []
  /// Trainable elements, d.
  let count: Int

  /// A difference of two amounts still fits 32 bits.
  static let bound: Int32 = 1 << 30 - 1

  /// The base of a model with `count` trainable elements.
  init(count: Int) { self.count = count }

  /// I of every element, the zeros of the base written out.
  var integers: [Int32] {
    amounts.isEmpty ? [Int32](repeating: 0, count: count) : amounts
  }

  /// The version with these integers.
  mutating func set(_ integers: [Int32]) { amounts = integers }

  /// I ← I + a decoded change, within the bound.
  mutating func add(_ change: DeltaPayload) throws(CodecError) {
    var next = integers
    try change.forEachChunk(of: &next) { part, target in
      IntegerKernels.add(part, to: &target, bound: Self.bound)
    }
    amounts = next
  }

  /// What the version adds to the base.
  func weightUpdates(scaleExponent: Int) -> [WeightUpdate] {
    amounts.isEmpty
      ? [] : [.integers(IntegerUpdate(scaleExponent: scaleExponent, amounts: amounts))]
  }

  /// 0 for the base, or 1 and the integers as `DeltaCodec.fixed(bits: 32)`.
  func snapshot() -> [UInt8] {
    guard !amounts.isEmpty else { return [0] }
    var left = amounts
    return [1] + DeltaCodec.fixed(bits: 32).encode(&left)
  }

  /// The version of a snapshot.
  init(_ snapshot: [UInt8], count: Int) throws(CodecError) {
    self.init(count: count)
    switch snapshot.first {
    case 0 where snapshot.count == 1: return
    case 1:
      let codec = DeltaCodec.fixed(bits: 32)
      try add(DeltaPayload(Array(snapshot.dropFirst()), codec: codec, count: count))
    default: throw .malformed(field: "snapshot", reason: "begins with neither 0 nor 1")
    }
  }

  /// SHA-256(base digest ‖ name ‖ s ‖ d ‖ I).
  func digest(base: Digest, name: String, scaleExponent: Int) -> Digest {
    var writer = ByteWriter()
    base.encode(into: &writer)
    writer.write(string: name)
    writer.write(UInt8(scaleExponent))
    writer.write(count: amounts.count)
    var hasher = SHA256()
    hasher.update(writer.bytes)
    // SAFETY: integers have no padding; every machine this runs on is little-endian.
    unsafe hasher.update(amounts.span.bytes)
    return hasher.finalize()
  }
}
