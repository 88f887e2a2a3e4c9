// Apache-2.0.
import Codecs

/// The integers of a FedKSeed version: accumulators of every epoch and, for Pro, the history of
/// scalars.
///
/// Σ|A| of an epoch stays below 2^31: before an aggregation could pass the bound, the epoch is closed
/// and the next begins with a fresh bank.
struct SeedState: Sendable, Equatable {
  /// Accumulators, oldest epoch first; the last one is open.
  private(set) var epochs: [[Int32]]
  /// The version each epoch began with: contributions of earlier tasks belong to the one before.
  private(set) var starts: [UInt32] = [0]
  /// Aggregations folded.
  private(set) var version: UInt32 = 0
  /// Pro: how often each seed was used, and the sum of its |g| in units of 2^−10.
  private(set) var uses: [UInt32]
  private(set) var magnitudes: [UInt64]

  static let bound = (1 << 31) - 1
  /// 4096 steps of at most 1.1225 · 2^18 units, and the rounding of 2^16 accumulators.
  static let closing = bound - (5 << 28)
  private static let maximumEpochs = 1 << 12

  init(count: Int, keepsHistory: Bool) {
    epochs = [[Int32](repeating: 0, count: count)]
    uses = [UInt32](repeating: 0, count: keepsHistory ? count : 0)
    magnitudes = [UInt64](repeating: 0, count: keepsHistory ? count : 0)
  }

  /// The open epoch.
  var epoch: UInt32 { UInt32(epochs.count - 1) }

  /// The epoch whose bank a task of version `round` drew from.
  func epoch(of round: UInt32) -> Int { (starts.lastIndex { $0 <= round }) ?? 0 }

  /// Adds the moves of an aggregation, by the epoch whose directions they were measured along.
  ///
  /// An epoch is closed while there is room for one more aggregation, so the open one always takes
  /// what comes; what a closed one has no room for any more is dropped.
  mutating func add(_ moved: [Int: [Int64]]) throws(AlgorithmError) {
    let open = epochs.count - 1
    for (epoch, moves) in moved.sorted(by: { $0.key < $1.key }) {
      let sums = zip(epochs[epoch], moves).map { Int64($0) + $1 }
      if Self.norm(sums) <= Self.bound {
        epochs[epoch] = sums.map { Int32($0) }
      } else if epoch == open {
        throw .setting("steps", "one aggregation passes 2^30 units; lower steps or learning_rate")
      }
    }
    version += 1
    if Self.norm(epochs[open].map { Int64($0) }) > Self.closing {
      epochs.append([Int32](repeating: 0, count: epochs[open].count))
      starts.append(version)
    }
  }

  /// Pro: notes the scalar of one use of a seed.
  mutating func remember(_ seed: Int, _ slope: Float) {
    uses[seed] &+= 1
    magnitudes[seed] &+= UInt64(min(slope.magnitude, 1000) * 1024)
  }

  /// Pro: what makes one seed likelier than another, the mean |g| with the initial zero counted.
  func meanMagnitude(_ seed: Int) -> UInt64 { (magnitudes[seed] << 8) / (UInt64(uses[seed]) + 1) }

  func encode(into writer: inout ByteWriter) {
    writer.writeVarint(UInt64(version))
    writer.write(count: epochs.count)
    for (start, amounts) in zip(starts, epochs) {
      writer.writeVarint(UInt64(start))
      for amount in amounts { writer.writeVarint(Self.zigzag(amount)) }
    }
    for seed in uses.indices {
      writer.writeVarint(UInt64(uses[seed]))
      writer.writeVarint(magnitudes[seed])
    }
  }

  init(_ snapshot: [UInt8], count: Int, keepsHistory: Bool) throws(AlgorithmError) {
    self.init(count: count, keepsHistory: keepsHistory)
    do throws(CodecError) {
      var reader = ByteReader(snapshot)
      version = UInt32(try reader.readCount(limit: Int(UInt32.max), field: "version"))
      let epochCount = try reader.readCount(limit: Self.maximumEpochs, field: "epochs")
      guard epochCount > 0 else {
        throw .outOfRange(field: "epochs", value: "0", allowed: "1...\(Self.maximumEpochs)")
      }
      epochs = []
      starts = []
      for _ in 0..<epochCount {
        let start = UInt32(try reader.readCount(limit: Int(version), field: "start"))
        guard start > starts.last ?? 0 || starts.isEmpty && start == 0 else {
          throw .malformed(field: "start", reason: "epochs begin one after another")
        }
        starts.append(start)
        var amounts: [Int32] = []
        for _ in 0..<count { amounts.append(try Self.amount(try reader.readVarint())) }
        guard Self.norm(amounts.map { Int64($0) }) <= Self.bound else {
          throw .outOfRange(field: "amounts", value: "a sum past the bound", allowed: "below 2^31")
        }
        epochs.append(amounts)
      }
      for seed in uses.indices {
        uses[seed] = UInt32(try reader.readCount(limit: Int(UInt32.max), field: "uses"))
        magnitudes[seed] = try reader.readVarint()
        guard magnitudes[seed] <= UInt64(uses[seed]) * 1000 * 1024 else {
          throw .malformed(field: "magnitudes", reason: "larger than its uses allow")
        }
      }
      try reader.finish()
    } catch {
      throw .snapshot("\(error)")
    }
  }

  /// Σ|amount|; amounts of one aggregation are below 2^60 by the bound on its steps.
  private static func norm(_ amounts: [Int64]) -> Int {
    amounts.reduce(0) { min($0 + Int(min($1.magnitude, 1 << 40)), 1 << 60) }
  }

  static func zigzag(_ amount: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: (amount << 1) ^ (amount >> 31)))
  }

  static func amount(_ code: UInt64) throws(CodecError) -> Int32 {
    guard let bits = UInt32(exactly: code) else {
      throw .outOfRange(field: "amount", value: "\(code)", allowed: "32 bits")
    }
    return Int32(bitPattern: bits >> 1) ^ -Int32(bitPattern: bits & 1)
  }
}
