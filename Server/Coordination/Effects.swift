// Apache-2.0.
import RunLedger
import WireProtocol

/// What handling one event comes to, gathered on the way.
struct Effects {
  /// What must not be seen before the records are durable.
  enum Step {
    case act(CoordinatorAction)
    /// A contribution is safe: the scheduler may count it.
    case arrived(run: UInt32, TaskKey)
  }

  /// Done at once.
  var actions: [CoordinatorAction] = []
  /// Made durable together.
  var records: [LedgerRecord] = []
  /// Done after that.
  var steps: [Step] = []

  /// Sends a message once everything before it is durable.
  mutating func send(_ peer: PeerNumber, _ message: Message) {
    steps.append(.act(.send(peer, message)))
  }
}
