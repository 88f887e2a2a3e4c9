// Apache-2.0.

/// Times and sizes of a connection.
public struct ConnectionLimits: Sendable, Equatable {
  /// For TCP and TLS to be set up.
  public var handshake: Duration
  /// For a peer without a certificate to enrol and go.
  public var enrolment: Duration
  /// A client that has sent or heard nothing for so long sends a ping.
  public var heartbeat: Duration
  /// A peer that nothing has come from for so long is taken for dead.
  public var silence: Duration
  /// For last words to be sent and the other end to close.
  public var farewell: Duration
  /// Above so many waiting bytes a peer counts as congested, until half of them are gone.
  public var congestion: Int
  /// More waiting bytes end the connection.
  public var mostQueued: Int

  /// The limits; the defaults suit a server on the Internet.
  public init(
    handshake: Duration = .seconds(10),
    enrolment: Duration = .seconds(10),
    heartbeat: Duration = .seconds(30),
    silence: Duration = .seconds(95),
    farewell: Duration = .seconds(2),
    congestion: Int = 4 << 20,
    mostQueued: Int = 192 << 20
  ) {
    self.handshake = handshake
    self.enrolment = enrolment
    self.heartbeat = heartbeat
    self.silence = silence
    self.farewell = farewell
    self.congestion = congestion
    self.mostQueued = mostQueued
  }
}

/// The life of a connection as values: what is allowed when, and what time does to it.
///
///     handshaking ──► open ──────┐
///          │           ▲         ▼
///          └──► enrolling ──► leaving ──► closed
///
/// It knows no socket and no clock. Only the connecting end sends heartbeats; the other answers. What
/// the kernel takes is no sign of life: only bytes from the peer are, and room that the peer makes by
/// taking bytes after the kernel's buffer was full.
struct ConnectionMachine {
  /// Where in its life a connection is.
  enum Phase: Equatable {
    /// Setting up.
    case handshaking
    /// Without a certificate: only enrolment is allowed.
    case enrolling
    /// Recognised.
    case open
    /// The last words are being sent; what comes in is dropped.
    case leaving
    /// Over.
    case closed
  }

  /// What the shell has to do.
  enum Action: Equatable {
    /// Send a ping.
    case ping
    /// End the connection now.
    case close(CloseReason)
  }

  private(set) var phase = Phase.handshaking
  private let limits: ConnectionLimits
  private let pings: Bool
  private var phaseEnd: Duration?
  private var lastHeard: Duration
  private var lastSaid: Duration
  private var lastPing: Duration
  private(set) var isCongested = false

  /// A connection that begins.
  ///
  /// - Parameter pings: whether this end sends the heartbeats.
  init(limits: ConnectionLimits, pings: Bool, now: Duration) {
    self.limits = limits
    self.pings = pings
    phaseEnd = now + limits.handshake
    lastHeard = now
    lastSaid = now
    lastPing = now
  }

  /// The peer is set up, and recognised or not.
  mutating func established(recognised: Bool, now: Duration) {
    guard phase == .handshaking || phase == .enrolling else { return }
    phase = recognised ? .open : .enrolling
    phaseEnd = recognised ? nil : now + limits.enrolment
    lastHeard = now
    lastSaid = now
    lastPing = now
  }

  /// Bytes have come in.
  mutating func heard(_ now: Duration) { lastHeard = now }

  /// Bytes have gone out.
  ///
  /// - Parameter madeRoom: the kernel had no room before: the peer has taken some, so it lives.
  mutating func said(_ now: Duration, madeRoom: Bool) {
    lastSaid = now
    if madeRoom { lastHeard = now }
  }

  /// The last words are queued.
  mutating func leave(_ now: Duration) {
    guard phase != .closed, phase != .leaving else { return }
    phase = .leaving
    phaseEnd = now + limits.farewell
  }

  /// The connection is over.
  mutating func end() {
    phase = .closed
    phaseEnd = nil
  }

  /// What has to be done now; then `deadline` says when to ask again.
  mutating func check(_ now: Duration) -> Action? {
    if let phaseEnd, phaseEnd <= now {
      switch phase {
      case .handshaking: return .close(.deadline("the handshake"))
      case .enrolling: return .close(.deadline("the enrolment"))
      default: return .close(.deadline("the farewell"))
      }
    }
    guard phase == .open else { return nil }
    if lastHeard + limits.silence <= now { return .close(.silent) }
    guard pings, nextPing <= now else { return nil }
    lastPing = now
    return .ping
  }

  /// When to call `check` again; nil for never.
  var deadline: Duration? {
    if phase == .open {
      let death = lastHeard + limits.silence
      return pings ? min(death, nextPing) : death
    }
    return phaseEnd
  }

  /// Pings keep both ends sure of one another: the server hears them, the client their answers.
  private var nextPing: Duration { max(lastPing, min(lastSaid, lastHeard)) + limits.heartbeat }

  /// Takes note of how much waits to be sent.
  ///
  /// - Returns: whether the peer has become congested, or is no longer; nil for no change.
  mutating func queued(_ bytes: Int) -> Bool? {
    if !isCongested, bytes > limits.congestion {
      isCongested = true
      return true
    }
    guard isCongested, bytes <= limits.congestion / 2 else { return nil }
    isCongested = false
    return false
  }

  /// Whether more bytes wait than a connection may hold.
  func isOverfull(_ bytes: Int) -> Bool { bytes > limits.mostQueued }
}
