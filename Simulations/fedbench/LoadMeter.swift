// Apache-2.0.
import Coordination
import Synchronization
import Telemetry

/// What clients and server of one process see of a federation, on one clock.
final class LoadMeter: Sendable {
  /// What was seen so far.
  struct Seen {
    var connected: Set<String> = []
    var lost = 0
    var failures = 0
    /// When the latest result of a client arrived at the server.
    var arrivals: [String: Duration] = [:]
    /// Orders by client.
    var orders: [String: Int] = [:]
    /// When the last of the results arrived that made a version.
    var triggers: [UInt32: Duration] = [:]
    /// From the arrival of the result that made a version to an order from it at a client.
    var dispatches: [Double] = []
    /// From the arrival of a client's own result to its next order.
    var turnarounds: [Double] = []
    /// From the arrival of a result to its acknowledgement at the client.
    var acknowledgements: [Double] = []
    /// Whether times count: not while clients still come.
    var counts = false
  }

  private let seen = Mutex(Seen())
  private let connection = Mutex<(@Sendable () -> Void)?>(nil)

  /// A copy of what was seen.
  var now: Seen { seen.withLock { $0 } }

  /// Begins to count times.
  func begin() {
    seen.withLock { seen in
      seen.counts = true
      seen.dispatches = []
      seen.turnarounds = []
      seen.acknowledgements = []
      seen.orders = [:]
    }
  }

  /// Calls `body` whenever a client has connected for the first time.
  func whenConnected(_ body: @escaping @Sendable () -> Void) { connection.withLock { $0 = body } }

  /// A client is connected.
  func connected(_ name: String) {
    let isNew = seen.withLock { $0.connected.insert(name).inserted }
    if isNew, let body = connection.withLock({ $0 }) { body() }
  }

  /// A client's connection was lost.
  func lost(_ name: String) { seen.withLock { $0.lost += 1 } }

  /// A client heard of a failure, or heard nonsense.
  func failed(_ name: String) { seen.withLock { $0.failures += 1 } }

  /// A result has arrived at the server.
  func arrived(_ name: String) {
    let now = TimeSource.monotonic.now
    seen.withLock { $0.arrivals[name] = now }
  }

  /// The server has made a version.
  func made(_ report: RoundReport) {
    seen.withLock { seen in
      seen.triggers[report.round] = report.contributors.compactMap { seen.arrivals[$0] }.max()
    }
  }

  /// A client has got an order from a version.
  func ordered(_ name: String, from version: UInt32) {
    let now = TimeSource.monotonic.now
    seen.withLock { seen in
      seen.orders[name, default: 0] += 1
      guard seen.counts else { return }
      if let trigger = seen.triggers[version] {
        seen.dispatches.append((now - trigger).inSeconds)
      }
      if let own = seen.arrivals[name] { seen.turnarounds.append((now - own).inSeconds) }
    }
  }

  /// A client has got an acknowledgement.
  func acknowledged(_ name: String) {
    let now = TimeSource.monotonic.now
    seen.withLock { seen in
      guard seen.counts, let own = seen.arrivals[name] else { return }
      seen.acknowledgements.append((now - own).inSeconds)
    }
  }
}

extension [Double] {
  /// The value that a share of all do not exceed; NaN of none.
  func quantile(_ share: Double) -> Double {
    let sorted = self.sorted()
    guard let last = sorted.last else { return .nan }
    return Swift.min(last, sorted[Int(Double(sorted.count - 1) * share)])
  }
}
