// Apache-2.0.

/// Where values lie in one arena, so that no two that live at the same time overlap.
///
/// Best fit over several orders, the smallest result kept; stops at the lower bound (the greatest
/// sum of bytes alive at one step).
public struct MemoryPlan: Sendable {
  /// Something that needs memory from step `first` to step `last`, both included.
  public struct Interval: Sendable {
    let bytes: Int
    let first: Int
    let last: Int

    /// An interval; bytes are rounded up to whole cache lines.
    public init(bytes: Int, first: Int, last: Int) {
      self.bytes = (bytes + 63) & ~63
      self.first = first
      self.last = last
    }

    func meets(_ other: Interval) -> Bool { first <= other.last && other.first <= last }
  }

  /// Offset of each interval, in bytes, a multiple of 64.
  public let offsets: [Int]
  /// Bytes of the arena.
  public let arenaBytes: Int
  /// Bytes no arena can do with less than.
  public let lowerBound: Int

  /// Plans the intervals.
  public init(_ intervals: [Interval]) {
    lowerBound = Self.lowerBound(intervals)
    let orders: [(Interval) -> Int] = [
      { $0.bytes },
      { $0.last - $0.first },
      { $0.bytes * ($0.last - $0.first + 1) },
      { -$0.first },
    ]
    var best: (offsets: [Int], bytes: Int)?
    for key in orders {
      // Ties by position, so that the plan is the same everywhere.
      let order = intervals.indices.sorted { a, b in
        (key(intervals[b]), a) < (key(intervals[a]), b)
      }
      let made = Self.place(intervals, in: order)
      if made.bytes < best?.bytes ?? Int.max { best = made }
      if made.bytes == lowerBound { break }
    }
    offsets = best?.offsets ?? []
    arenaBytes = best?.bytes ?? 0
  }

  static func lowerBound(_ intervals: [Interval]) -> Int {
    var change: [Int: Int] = [:]
    for interval in intervals {
      change[interval.first, default: 0] += interval.bytes
      change[interval.last + 1, default: 0] -= interval.bytes
    }
    var (alive, most) = (0, 0)
    for (_, bytes) in change.sorted(by: { $0.key < $1.key }) {
      alive += bytes
      most = max(most, alive)
    }
    return most
  }

  /// Puts each interval into the smallest gap between those already placed that live with it.
  private static func place(
    _ intervals: [Interval],
    in order: [Int]
  ) -> (offsets: [Int], bytes: Int) {
    var offsets = [Int](repeating: 0, count: intervals.count)
    var placed: [Int] = []
    var end = 0
    for index in order {
      let interval = intervals[index]
      let neighbours =
        placed
        .filter { intervals[$0].meets(interval) }
        .sorted { (offsets[$0], $0) < (offsets[$1], $1) }
      var at = 0
      var gap: (offset: Int, size: Int)?
      for neighbour in neighbours {
        let size = offsets[neighbour] - at
        if size >= interval.bytes, size < gap?.size ?? Int.max { gap = (at, size) }
        at = max(at, offsets[neighbour] + intervals[neighbour].bytes)
      }
      offsets[index] = gap?.offset ?? at
      end = max(end, offsets[index] + interval.bytes)
      placed.append(index)
    }
    return (offsets, end)
  }
}
