// Apache-2.0.
import FederatedCore
import FineTuning
import Participation
import WireProtocol

/// Devices that train different parts of a model.
extension SimulatedFederation {
  /// What a client holds once it has loaded the run, or why its device cannot.
  func preparation(of client: Int) -> Result<Preparation, ParticipationFailure> {
    do {
      return .success(
        Preparation(
          base: work.base,
          examples: work.exampleCount(of: client),
          blocks: work.blocks,
          device: try work.fit(of: client).map { profile(of: client, $0) }
        )
      )
    } catch {
      return .failure(ParticipationFailure("\(error)"))
    }
  }

  /// What a client tells of its device, nil where all train alike.
  func profile(of client: Int) -> DeviceProfile? {
    (try? work.fit(of: client)).flatMap { $0 }.map { profile(of: client, $0) }
  }

  /// Mean virtual seconds of a step of a client's task.
  func stepTime(of client: Int, _ task: LocalTask) -> Double {
    guard let fit = try? work.fit(of: client) else { return devices.stepTime(of: client) }
    let batch = task.batchSize == 0 ? fit.batchSize : min(task.batchSize, fit.batchSize)
    return stepTime(of: client, examples: batch)
  }

  private func profile(of client: Int, _ fit: DeviceFit) -> DeviceProfile {
    DeviceProfile(
      fit,
      memory: devices.memory(of: client),
      shortStep: .seconds(stepTime(of: client, examples: 1)),
      longStep: .seconds(stepTime(of: client, examples: fit.batchSize))
    )
  }

  private func stepTime(of client: Int, examples: Int) -> Double {
    devices.stepTime(of: client, examples: examples, ofBatch: configuration.data.batchSize)
  }
}
