// Apache-2.0.

/// Events in the order of virtual time.
///
/// Events of one moment come out by rank, then in the order they went in: nothing is left to chance.
struct EventQueue<Time: Comparable, Event> {
  /// A place in the heap; the event itself stays where it is while places move.
  private struct Entry {
    let time: Time
    let sequence: UInt64
    let rank: Int32
    let slot: Int32

    func isBefore(_ other: Entry) -> Bool {
      time == other.time
        ? (rank, sequence) < (other.rank, other.sequence) : time < other.time
    }
  }

  /// A binary heap.
  private var entries: [Entry] = []
  private var events: [Event?] = []
  private var free: [Int32] = []
  private var sequence: UInt64 = 0

  var isEmpty: Bool { entries.isEmpty }

  /// Time of the next event, nil where there is none.
  var nextTime: Time? { entries.first?.time }

  /// Adds an event; `rank` orders those of one moment, the smallest first.
  mutating func add(_ event: Event, at time: Time, rank: Int = 0) {
    let slot = free.popLast() ?? Int32(events.count)
    if Int(slot) == events.count { events.append(event) } else { events[Int(slot)] = event }
    let entry = Entry(time: time, sequence: sequence, rank: Int32(rank), slot: slot)
    sequence += 1
    entries.append(entry)
    var child = entries.count - 1
    while child > 0, case let parent = (child - 1) / 2, entry.isBefore(entries[parent]) {
      entries[child] = entries[parent]
      child = parent
    }
    entries[child] = entry
  }

  /// Takes the next event out.
  mutating func removeFirst() -> (time: Time, event: Event)? {
    guard let first = entries.first, let last = entries.popLast() else { return nil }
    if !entries.isEmpty { sink(last) }
    guard let event = events[Int(first.slot)].take() else { return nil }
    free.append(first.slot)
    return (first.time, event)
  }

  /// Puts an entry where the first one was.
  private mutating func sink(_ entry: Entry) {
    var parent = 0
    while case var child = 2 * parent + 1, child < entries.count {
      if child + 1 < entries.count, entries[child + 1].isBefore(entries[child]) { child += 1 }
      guard entries[child].isBefore(entry) else { break }
      entries[parent] = entries[child]
      parent = child
    }
    entries[parent] = entry
  }
}
