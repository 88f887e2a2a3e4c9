// Apache-2.0.
import FederatedCore
import Glibc
import Synchronization

/// What `check` decoded of small contributions, kept for the fold that takes them.
///
/// A contribution is decoded when it arrives, so that a damaged one is refused, and again when it is
/// folded; of a small model that is most of what a server does. What is kept is asked for with the
/// payload itself, so that nothing but its own elements is ever returned. Copies of a session share it:
/// what one of them checked on another thread, none of them checks again.
final class CheckedWays: Sendable {
  private struct Key: Hashable {
    let client: UInt32
    let round: UInt32

    init(_ task: LocalTask) {
      client = task.client
      round = task.round
    }
  }

  private struct Way {
    let steps: Int
    let payload: [UInt8]
    let amounts: [Int32]
  }

  private let kept = Mutex<(ways: [Key: Way], elements: Int)>(([:], 0))

  /// Elements that are kept at most, 64 MiB; what is past that is decoded twice.
  private static let limit = 1 << 24

  /// Keeps the elements of a payload while there is room.
  func keep(_ amounts: [Int32], of payload: [UInt8], for task: LocalTask) {
    let key = Key(task)
    let way = Way(steps: task.steps, payload: payload, amounts: amounts)
    kept.withLock { kept in
      let old = kept.ways[key]?.amounts.count ?? 0
      guard kept.elements - old + amounts.count <= Self.limit else { return }
      kept.ways[key] = way
      kept.elements += amounts.count - old
    }
  }

  /// The elements of a payload, nil where they were not kept.
  func amounts(of payload: [UInt8], for task: LocalTask) -> [Int32]? {
    guard let way = kept.withLock({ $0.ways[Key(task)] }), way.steps == task.steps,
      Self.areEqual(way.payload, payload)
    else { return nil }
    return way.amounts
  }

  /// Forgets everything: what a fold did not take is late, and decoded once more.
  func removeAll() { kept.withLock { $0 = ([:], 0) } }

  private static func areEqual(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    // SAFETY: both have the bytes compared.
    unsafe one.count == other.count && memcmp(one, other, one.count) == 0
  }
}
