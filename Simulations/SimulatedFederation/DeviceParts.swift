// Apache-2.0.
import Datasets
import Execution
import FederatedAlgorithms
import FederatedCore
public import FineTuning
import Tensors

/// The parts of a model that simulated devices train, one for each size of memory.
struct DeviceParts {
  /// How a part differs from the model; batches do not matter.
  struct Part: Hashable {
    let rank: Int
    let frozen: FrozenWeights

    init(_ fit: DeviceFit) { (rank, frozen) = (fit.rank, fit.frozen) }
  }

  /// The models, shared by all workers.
  let models: [Part: LoadedModel]
  private let fits: [Result<DeviceFit, FineTuningError>]

  /// The parts of a run; nil where its algorithm has all devices train alike.
  init?(
    _ model: LoadedModel,
    _ run: RunConfiguration,
    _ devices: DeviceSection,
    examples: [Example]
  ) throws {
    let session = try AlgorithmCatalog.start(algorithm: run.algorithm.json, key: run.runKey)
    guard let needs = session.deviceNeeds else { return nil }
    var planner = try DevicePlanner(
      model,
      run,
      needs: needs,
      positions: model.paddedLength(of: examples),
      threads: 1
    )
    var fits: [Result<DeviceFit, FineTuningError>] = []
    for memory in devices.memory {
      do throws(FineTuningError) {
        fits.append(.success(try planner.fit(memory: memory)))
      } catch {
        fits.append(.failure(error))
      }
    }
    if fits.isEmpty { fits = [.success(planner.whole)] }
    self.fits = fits
    var models: [Part: LoadedModel] = [:]
    for case .success(let fit) in fits where models[Part(fit)] == nil {
      models[Part(fit)] = try LoadedModel(ModelRequest(run, fit: fit))
    }
    self.models = models
  }

  /// What a client's device trains.
  ///
  /// - Throws: where it has room for nothing.
  func fit(of client: Int) throws(FineTuningError) -> DeviceFit {
    try fits[client % fits.count].get()
  }
}

/// What one worker trains and evaluates with: the whole model, and parts of it as they come up.
public struct SimulatedWorker {
  /// The whole model.
  public let whole: TrainerWorkspace
  private var parts: [DeviceParts.Part: TrainerWorkspace] = [:]

  init(whole: TrainerWorkspace) { self.whole = whole }

  /// The workspace of a part.
  mutating func workspace(for fit: DeviceFit, _ parts: DeviceParts) throws -> TrainerWorkspace {
    let part = DeviceParts.Part(fit)
    if let known = self.parts[part] { return known }
    guard let model = parts.models[part] else { return whole }
    let made = try TrainerWorkspace(model, team: ThreadTeam(threads: 1), perturbs: false)
    self.parts[part] = made
    return made
  }
}
