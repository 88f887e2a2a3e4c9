// Apache-2.0.
import Execution
import FederatedCore
public import FineTuning
public import WireProtocol

/// How long local steps take on a device, measured on its own examples.
struct DeviceMeasurement {
  /// Tells the time.
  let now: @Sendable () -> Duration

  /// Steps of each measurement, after one that makes the plan.
  private static let steps: UInt32 = 2

  /// The profile of a device that trains a part of a run.
  ///
  /// The weights of the workspace are moved; a version must be loaded before they are used.
  func profile(
    of fit: DeviceFit,
    memory: Int?,
    rule: LocalRule,
    data: ClientData,
    on workspace: TrainerWorkspace
  ) throws -> DeviceProfile {
    let one = ClientData(data.dataset, batchSize: 1)
    let short = try step(rule, one, workspace)
    let long = data.batchSize > 1 ? try step(rule, data, workspace) : short
    return DeviceProfile(fit, memory: memory, shortStep: short, longStep: max(short, long))
  }

  /// The shortest of some steps.
  private func step(
    _ rule: LocalRule,
    _ data: ClientData,
    _ workspace: TrainerWorkspace
  ) throws -> Duration {
    var trainer = ClientTrainer(workspace, data: data, key: 0)
    try trainer.load([])
    var shortest: Duration?
    for index in 0...Self.steps {
      let begin = now()
      // The same batch each time, so that no step pays for frozen layers of new examples.
      _ = try trainer.descend(rule, rate: 0, at: StepAddress(round: 0, client: 0, step: 0))
      let time = now() - begin
      if index > 0 { shortest = min(shortest ?? time, time) }
    }
    return shortest ?? .zero
  }
}

extension DeviceProfile {
  /// What a device tells of itself.
  ///
  /// - Parameters:
  ///   - memory: bytes it has for training, nil for no bound.
  ///   - shortStep: of one example.
  ///   - longStep: of the whole batch.
  public init(_ fit: DeviceFit, memory: Int?, shortStep: Duration, longStep: Duration) {
    self.init(
      memory: UInt64(memory ?? 0),
      frozen: Frozen(fit),
      rank: UInt32(fit.rank),
      batchSize: UInt32(fit.batchSize),
      shortStep: Self.nanoseconds(shortStep),
      longStep: Self.nanoseconds(longStep)
    )
  }

  private static func nanoseconds(_ time: Duration) -> UInt64 {
    UInt64(max(0, min(time / .nanoseconds(1), Double(longestStep))))
  }
}

extension DeviceProfile.Frozen {
  /// As a fit says.
  fileprivate init(_ fit: DeviceFit) {
    switch fit.frozen {
    case .stored: self = .stored
    case .bf16: self = .bf16
    case .int8: self = .int8
    }
  }
}
