// Apache-2.0.
import WireProtocol

/// The latest rounds as they were folded, for clients that missed few of them.
///
/// Kept while sending them is cheaper than sending a snapshot; a longer absence gets the snapshot.
struct RoundHistory: Sendable {
  private var rounds: [[VersionSync.Part]] = []
  /// Round of `rounds[0]`: the oldest version that the rounds lead on from.
  private(set) var first: UInt32 = 0

  /// Adds the next round and forgets what a snapshot of `budget` bytes replaces.
  mutating func append(_ parts: [VersionSync.Part], budget: Int) {
    rounds.append(parts)
    var kept = 0
    var bytes = 0
    for round in rounds.reversed() {
      bytes += Self.bytes(round)
      if bytes > budget { break }
      kept += 1
    }
    first += UInt32(rounds.count - kept)
    rounds.removeFirst(rounds.count - kept)
  }

  /// The rounds from `version` on, nil where they are forgotten.
  func since(_ version: UInt32) -> VersionSync? {
    guard version >= first, version - first <= UInt32(rounds.count) else { return nil }
    return .rounds(first: version, Array(rounds.dropFirst(Int(version - first))))
  }

  private static func bytes(_ round: [VersionSync.Part]) -> Int {
    round.reduce(1) { $0 + $1.payload.count + 9 }
  }
}
