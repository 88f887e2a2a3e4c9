// Apache-2.0.
import Synchronization
import WireProtocol

/// Counts the bytes of frames as they would enter TLS.
///
/// Long bodies are compressed for that, which takes longer than all else a message takes; they wait
/// until somebody asks, and are then counted on every thread.
struct TrafficMeter {
  enum Way { case up, down }

  private struct Waiting {
    let index: Int
    let way: Way
    let kind: UInt8
    let body: [UInt8]
  }

  /// Bytes of all that was counted.
  private(set) var total = 0
  private var waiting: [Waiting] = []
  private var waitingBytes = 0
  private var counted: [Int: FrameTraffic] = [:]
  /// The last offer and its bytes: everybody gets the same.
  private var offer: (body: [UInt8], bytes: Int)?

  /// Bytes that may wait.
  private static let patience = 64 << 20

  /// Counts a message and returns its bytes, or 0 where they are counted later.
  mutating func add(_ kind: Message.Kind, _ body: [UInt8], _ way: Way, of index: Int) -> Int {
    guard body.count >= Frame.leastCompressed else {
      total += Frame.headerBytes + body.count
      return Frame.headerBytes + body.count
    }
    if kind == .offer {
      if offer?.body != body { offer = (body, Self.bytes(kind.rawValue, body)) }
      total += offer?.bytes ?? 0
      return offer?.bytes ?? 0
    }
    waiting.append(Waiting(index: index, way: way, kind: kind.rawValue, body: body))
    waitingBytes += body.count
    if waitingBytes > Self.patience { countWaiting { count, body in (0..<count).forEach(body) } }
    return 0
  }

  /// What was counted late since the last call, by client.
  mutating func settle(on queue: WorkQueue) -> [Int: FrameTraffic] {
    countWaiting { queue.share(tasks: $0, $1) }
    defer { counted = [:] }
    return counted
  }

  private mutating func countWaiting(_ share: (Int, (Int) -> Void) -> Void) {
    let sizes = Mutex([Int](repeating: 0, count: waiting.count))
    let waiting = waiting
    share(waiting.count) { index in
      let size = Self.bytes(waiting[index].kind, waiting[index].body)
      sizes.withLock { $0[index] = size }
    }
    for (entry, size) in zip(waiting, sizes.withLock({ $0 })) {
      count(size, entry.way, of: entry.index)
    }
    self.waiting = []
    waitingBytes = 0
  }

  private static func bytes(_ kind: UInt8, _ body: [UInt8]) -> Int {
    Frame.headerBytes + Frame.packed(kind: kind, body: body).body.count
  }

  private mutating func count(_ bytes: Int, _ way: Way, of index: Int) {
    total += bytes
    switch way {
    case .up: counted[index, default: FrameTraffic()].up += bytes
    case .down: counted[index, default: FrameTraffic()].down += bytes
    }
  }
}
