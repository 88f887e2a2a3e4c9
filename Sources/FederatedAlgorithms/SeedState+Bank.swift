// Apache-2.0.
import Codecs
import FederatedCore
import SharedRandomness

extension DirectionBank {
  /// The bank of another epoch.
  func of(epoch: UInt32) -> DirectionBank { DirectionBank(family: family, key: key, epoch: epoch) }
}

extension AlgorithmSettings {
  /// The bank that `family` names.
  func bank(count: Int, key: UInt64) throws(AlgorithmError) -> DirectionBank {
    guard try word("family", of: ["hadamard", "independent"]) == "hadamard" else {
      return DirectionBank(family: .independent, key: key, epoch: 0)
    }
    guard count & (count - 1) == 0, count >= 64 else {
      throw .setting("seeds", "the hadamard family needs a power of two from 64 to 65536")
    }
    return DirectionBank(
      family: .hadamard(log2Count: count.trailingZeroBitCount),
      key: key,
      epoch: 0
    )
  }
}

extension SeedState {
  /// What the accumulators add to the base weights, oldest epoch first.
  func weightUpdates(_ bank: DirectionBank, scaleExponent: Int) -> [WeightUpdate] {
    epochs.enumerated().map { epoch, amounts in
      .directions(
        DirectionUpdate(
          bank: bank.of(epoch: UInt32(epoch)),
          scaleExponent: scaleExponent,
          terms: amounts.enumerated().compactMap { index, amount in
            amount == 0 ? nil : .init(direction: UInt32(index), amount: amount)
          }
        )
      )
    }
  }

  /// Names a version of `name` over these accumulators.
  func digest(
    base: Digest,
    name: String,
    key: UInt64,
    _ bank: DirectionBank,
    scaleExponent: Int
  ) -> Digest {
    var writer = ByteWriter()
    base.encode(into: &writer)
    writer.write(string: name)
    writer.write(key)
    writer.write(count: epochs[0].count)
    writer.write(UInt8(bank.family == .independent ? 0 : 1))
    writer.write(UInt8(scaleExponent))
    encode(into: &writer)
    return Digest.sha256(of: writer.bytes)
  }
}
