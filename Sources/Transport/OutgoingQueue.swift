// Apache-2.0.
import WireProtocol

/// Frames that wait to be sent; bodies are shared with whoever else sends them, never copied whole.
struct OutgoingQueue {
  /// A frame: its header and what else is its own, and bytes that it may share.
  private struct Item {
    let head: [UInt8]
    let tail: ArraySlice<UInt8>

    var count: Int { head.count + tail.count }
  }

  private var items: [Item] = []
  private var first = 0
  /// Bytes of the first item that have been taken.
  private var taken = 0
  /// Bytes that wait.
  private(set) var bytes = 0

  /// Whether nothing waits.
  var isEmpty: Bool { bytes == 0 }

  /// Adds a frame at the end.
  mutating func append(_ frame: Frame) { append(Item(head: frame.header, tail: frame.body[...])) }

  /// Adds a frame whose body is `head` and `tail`.
  mutating func append(kind: UInt8, head: [UInt8], tail: ArraySlice<UInt8>) {
    let header = Frame.header(kind: kind, isCompressed: false, length: head.count + tail.count)
    append(Item(head: header + head, tail: tail))
  }

  private mutating func append(_ item: Item) {
    items.append(item)
    bytes += item.count
  }

  /// Takes out the next bytes, at most `limit`: several small frames share one TLS record.
  mutating func take(_ limit: Int) -> [UInt8] {
    var chunk: [UInt8] = []
    chunk.reserveCapacity(min(limit, bytes))
    while chunk.count < limit, first < items.count {
      let item = items[first]
      if taken < item.head.count {
        let part = item.head[taken...].prefix(limit - chunk.count)
        chunk += part
        taken += part.count
      }
      if taken >= item.head.count {
        let part = item.tail.dropFirst(taken - item.head.count).prefix(limit - chunk.count)
        chunk += part
        taken += part.count
      }
      guard taken == item.count else { break }
      first += 1
      taken = 0
    }
    bytes -= chunk.count
    if first == items.count {
      (items, first) = ([], 0)
    } else if first >= 64 {
      items.removeFirst(first)
      first = 0
    }
    return chunk
  }
}
