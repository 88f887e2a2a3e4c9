// Apache-2.0.
import Codecs

/// The integers of a FedKSeed version: accumulators of every epoch and, for Pro, the history of
/// scalars.
///
/// Σ|A| of an epoch stays below 2^31: an aggregation that would pass the bound closes the epoch and
/// starts the next with a fresh bank.
struct SeedState: Sendable, Equatable {
  /// Accumulators, oldest epoch first; the last one is open.
  private(set) var epochs: [[Int32]]
  /// Pro: how often each seed was used, and the sum of its |g| in units of 2^−10.
  private(set) var uses: [UInt32]
  private(set) var magnitudes: [UInt64]

  static let bound = (1 << 31) - 1
  private static let maximumEpochs = 1 << 12

  init(count: Int, keepsHistory: Bool) {
    epochs = [[Int32](repeating: 0, count: count)]
    uses = [UInt32](repeating: 0, count: keepsHistory ? count : 0)
    magnitudes = [UInt64](repeating: 0, count: keepsHistory ? count : 0)
  }

  /// The open epoch.
  var epoch: UInt32 { UInt32(epochs.count - 1) }

  /// Adds the moves of an aggregation.
  mutating func add(_ moved: [Int64]) throws(AlgorithmError) {
    let open = epochs[epochs.count - 1]
    let sums = zip(open, moved).map { Int64($0) + $1 }
    if Self.norm(sums) <= Self.bound {
      epochs[epochs.count - 1] = sums.map { Int32($0) }
    } else {
      guard Self.norm(moved) <= Self.bound else {
        throw .setting("steps", "one aggregation passes 2^31 units; lower steps or learning_rate")
      }
      epochs.append(moved.map { Int32($0) })
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
    writer.write(count: epochs.count)
    for amounts in epochs {
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
      let epochCount = try reader.readCount(limit: Self.maximumEpochs, field: "epochs")
      guard epochCount > 0 else {
        throw .outOfRange(field: "epochs", value: "0", allowed: "1...\(Self.maximumEpochs)")
      }
      epochs = []
      for _ in 0..<epochCount {
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
