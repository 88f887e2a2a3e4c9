// Apache-2.0.
import Coordination
import Participation

/// A simulated client that is up to something: the production machine behind a connection that only
/// moves bytes.
final class SimulatedClient {
  var machine: ParticipantMachine
  /// When its link is free for the next message, each way.
  var uplinkFree: Duration = .zero
  var downlinkFree: Duration = .zero
  /// The task at work: what its result is asked for with.
  var ticket: Int?
  /// When the task at work began.
  var begun: Duration = .zero

  init(_ machine: ParticipantMachine) { self.machine = machine }
}

/// Bytes of frames both ways, as they would enter TLS.
struct FrameTraffic {
  var up = 0
  var down = 0
}
