// Apache-2.0.

/// Events in the order of virtual time.
///
/// Events of one moment come out by rank, then in the order they went in: nothing is left to chance.
struct EventQueue<Time: Comparable, Event> {
  private struct Entry {
    let time: Time
    let rank: Int
    let sequence: UInt64
    let event: Event

    func isBefore(_ other: Entry) -> Bool {
      time == other.time
        ? (rank, sequence) < (other.rank, other.sequence) : time < other.time
    }
  }

  /// A binary heap.
  private var entries: [Entry] = []
  private var sequence: UInt64 = 0

  var isEmpty: Bool { entries.isEmpty }

  /// Time of the next event, nil where there is none.
  var nextTime: Time? { entries.first?.time }

  /// Adds an event; `rank` orders those of one moment, the smallest first.
  mutating func add(_ event: Event, at time: Time, rank: Int = 0) {
    entries.append(Entry(time: time, rank: rank, sequence: sequence, event: event))
    sequence += 1
    var child = entries.count - 1
    while child > 0, case let parent = (child - 1) / 2, entries[child].isBefore(entries[parent]) {
      entries.swapAt(child, parent)
      child = parent
    }
  }

  /// Takes the next event out.
  mutating func removeFirst() -> (time: Time, event: Event)? {
    guard let first = entries.first else { return nil }
    let last = entries.removeLast()
    guard !entries.isEmpty else { return (first.time, first.event) }
    entries[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < entries.count && entries[child].isBefore(entries[least]) {
        least = child
      }
      guard least != parent else { break }
      entries.swapAt(parent, least)
      parent = least
    }
    return (first.time, first.event)
  }
}
