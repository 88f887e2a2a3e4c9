// Apache-2.0.
public import FederatedCore
public import WireProtocol

/// Participants that wait for a task, in a few bytes each.
extension ParticipantMachine {
  /// The version of a participant that is ready and has neither a task nor a result to tell; nil for
  /// any other, whose machine must be kept.
  public var restingVersion: UInt32? {
    guard let current, current.preparation != nil, current.refusal == nil, current.task == nil,
      current.unacknowledged == nil, current.memory.isEmpty, !current.hasAskedAgain
    else { return nil }
    return current.version
  }

  /// Another participant of the same run that waits for a task.
  ///
  /// - Parameters:
  ///   - version: the one it holds.
  ///   - session: that version.
  ///   - examples: examples of its own.
  ///   - device: what its device trains, where devices train different parts.
  ///   - isConnected: whether its connection is up.
  public func resting(
    at version: UInt32,
    _ session: any AlgorithmSession,
    examples: Int,
    device: DeviceProfile? = nil,
    isConnected: Bool
  ) -> ParticipantMachine {
    var other = self
    other.isConnected = isConnected
    other.current?.version = version
    other.current?.session = session
    other.current?.preparation = current?.preparation.map {
      Preparation(base: $0.base, examples: examples, blocks: $0.blocks, device: device)
    }
    return other
  }

  /// The version it holds.
  public var session: (any AlgorithmSession)? { current?.session }
}
