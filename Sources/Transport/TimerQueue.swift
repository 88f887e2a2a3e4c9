// Apache-2.0.

/// Keys with a time, the earliest first: a binary heap.
struct TimerQueue<Key> {
  private var heap: [(time: Duration, order: UInt64, key: Key)] = []
  private var inserted: UInt64 = 0

  /// The earliest time.
  var next: Duration? { heap.first?.time }

  /// Entries waiting.
  var count: Int { heap.count }

  /// Adds a key; of equal times the one added first comes out first.
  mutating func insert(_ key: Key, at time: Duration) {
    inserted += 1
    heap.append((time, inserted, key))
    var child = heap.count - 1
    while child > 0, isBefore(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// Takes out the earliest key that is due.
  mutating func popDue(_ now: Duration) -> Key? {
    guard let first = heap.first, first.time <= now else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink()
    }
    return first.key
  }

  private mutating func sink() {
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if isBefore(child, least) { least = child }
      }
      if least == parent { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  private func isBefore(_ left: Int, _ right: Int) -> Bool {
    (heap[left].time, heap[left].order) < (heap[right].time, heap[right].order)
  }
}
