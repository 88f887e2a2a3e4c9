// Apache-2.0.
import WireProtocol

/// Frames that wait to be sent; bodies are shared with whoever else sends them, never copied whole.
struct OutgoingQueue {
  private var frames: [Frame] = []
  private var first = 0
  /// Bytes of the first frame that have been taken, header included.
  private var taken = 0
  /// Bytes that wait.
  private(set) var bytes = 0

  /// Whether nothing waits.
  var isEmpty: Bool { bytes == 0 }

  /// Adds a frame at the end.
  mutating func append(_ frame: Frame) {
    frames.append(frame)
    bytes += Frame.headerBytes + frame.body.count
  }

  /// Takes out the next bytes, at most `limit`: several small frames share one TLS record.
  mutating func take(_ limit: Int) -> [UInt8] {
    var chunk: [UInt8] = []
    chunk.reserveCapacity(min(limit, bytes))
    while chunk.count < limit, first < frames.count {
      let frame = frames[first]
      if taken < Frame.headerBytes {
        let part = frame.header[taken...].prefix(limit - chunk.count)
        chunk += part
        taken += part.count
      }
      if taken >= Frame.headerBytes {
        let part = frame.body[(taken - Frame.headerBytes)...].prefix(limit - chunk.count)
        chunk += part
        taken += part.count
      }
      guard taken == Frame.headerBytes + frame.body.count else { break }
      first += 1
      taken = 0
    }
    bytes -= chunk.count
    if first == frames.count {
      (frames, first) = ([], 0)
    } else if first >= 64 {
      frames.removeFirst(first)
      first = 0
    }
    return chunk
  }
}
