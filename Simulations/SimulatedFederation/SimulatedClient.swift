// Apache-2.0.
import Coordination
import Participation

/// A simulated client: the production machine behind a connection that only moves bytes.
struct SimulatedClient {
  let name: String
  /// Mean seconds of a local step.
  let stepTime: Double
  var machine = ParticipantMachine(software: "fedsim")
  /// When its link is free for the next message, each way.
  var uplinkFree: Duration = .zero
  var downlinkFree: Duration = .zero
  /// How many stretches of presence it has had.
  var period: UInt32 = 0
  /// The connection, nil while there is none.
  var peer: PeerNumber?
  /// The task at work: what its result is asked for with.
  var ticket: Int?
  /// When the task at work began.
  var begun: Duration = .zero
  /// Bytes of frames since the last round that counted the client.
  var traffic = FrameTraffic()
}

/// Bytes of frames both ways, as they would enter TLS.
struct FrameTraffic {
  var up = 0
  var down = 0
}
