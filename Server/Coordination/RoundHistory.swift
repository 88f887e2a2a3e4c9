// Apache-2.0.
import WireProtocol

/// The latest rounds as they travel, for clients that missed few of them.
///
/// Kept while sending them is cheaper than sending a snapshot; a longer absence gets the snapshot. A
/// round is its contributions, which everybody folds, or the advance that the algorithm made of them.
struct RoundHistory: Sendable {
  private enum Round {
    case parts([VersionSync.Part])
    case advance(Blob)

    var bytes: Int {
      switch self {
      case .parts(let parts): parts.reduce(1) { $0 + $1.payload.count + 9 }
      case .advance(let blob): blob.bytes.count
      }
    }
  }

  private var rounds: [Round] = []
  /// Round of `rounds[0]`: the oldest version that the rounds lead on from.
  private(set) var first: UInt32

  /// A history that begins with `version`.
  init(from version: UInt32 = 0) { first = version }

  /// An advance is about as long as a snapshot of a dense model; a client that missed more than this
  /// many gets the snapshot.
  static let mostAdvances = 2

  /// Adds the next round and forgets what a snapshot of `budget` bytes replaces.
  mutating func append(_ parts: [VersionSync.Part], budget: Int) {
    append(.parts(parts), budget)
  }

  /// Adds the next round and forgets what is beyond `budget` bytes.
  mutating func append(_ advance: Blob, budget: Int) { append(.advance(advance), budget) }

  private mutating func append(_ round: Round, _ budget: Int) {
    rounds.append(round)
    var kept = 0
    var bytes = 0
    for round in rounds.reversed() {
      bytes += round.bytes
      if bytes > budget { break }
      kept += 1
    }
    first += UInt32(rounds.count - kept)
    rounds.removeFirst(rounds.count - kept)
  }

  /// The rounds from `version` on, nil where they are forgotten, or are not all of one form.
  func since(_ version: UInt32) -> VersionSync? {
    guard version >= first, version - first <= UInt32(rounds.count) else { return nil }
    let wanted = rounds.dropFirst(Int(version - first))
    let advances = wanted.compactMap { if case .advance(let blob) = $0 { blob } else { nil } }
    if !advances.isEmpty {
      return advances.count == wanted.count ? .advances(first: version, advances) : nil
    }
    return .rounds(
      first: version,
      wanted.compactMap { if case .parts(let parts) = $0 { parts } else { nil } }
    )
  }
}
