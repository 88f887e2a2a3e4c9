// Apache-2.0.
public import Datasets
import Execution
public import FederatedCore
public import SharedRandomness

/// The data of one client, or of an evaluation.
public struct ClientData: Sendable {
  /// The examples.
  public let dataset: Dataset
  /// Examples of a batch, at most as many as there are.
  public let batchSize: Int

  /// Data for batches of `batchSize`.
  public init(_ dataset: Dataset, batchSize: Int) {
    self.dataset = dataset
    self.batchSize = max(1, min(batchSize, max(1, dataset.examples.count)))
  }
}

/// Local steps of one client on the engine.
///
/// Batches are drawn from the step's address: each round visits the examples in an order of its own,
/// without repetition until all have been seen, then in a new order. Place s·B + i of a round (step s,
/// batch size B, i < B) takes entry p mod n of the Philox permutation of pass p / n, p being the place
/// and n the number of examples. The loss is the mean over what counts in the batch.
public struct ClientTrainer: LocalTrainer {
  private let workspace: TrainerWorkspace
  private let data: ClientData
  private let key: UInt64
  private var order: (address: StepAddress, examples: [Int])?

  /// A trainer of `data` in a worker's workspace.
  ///
  /// - Parameter key: Philox key of the run.
  public init(_ workspace: TrainerWorkspace, data: ClientData, key: UInt64) {
    self.workspace = workspace
    self.data = data
    self.key = key
  }

  /// Trainable scalars, d.
  public var parameterCount: Int { workspace.model.parameterCount }

  /// Examples of the client.
  public var exampleCount: Int { data.dataset.examples.count }

  /// Brings the workspace's weights to a version.
  public mutating func load(_ updates: [WeightUpdate]) throws {
    workspace.load(updates)
  }

  /// Mean losses at w ± ε·z on the batch of the address.
  public mutating func probe(
    _ direction: Direction,
    epsilon: Float,
    at address: StepAddress
  ) throws -> (plus: Float, minus: Float) {
    let examples = batch(at: address).map { data.dataset.examples[$0] }
    let prepared = try workspace.prepare(examples, rows: data.batchSize)
    workspace.workspace.setDirection(direction)
    let plus = try prepared.meanLoss(epsilon: epsilon)
    let minus = try prepared.meanLoss(epsilon: -epsilon)
    return (plus, minus)
  }

  /// w ← w + step·z.
  public mutating func move(along direction: Direction, by step: Float) throws {
    workspace.workspace.setDirection(direction)
    workspace.workspace.move(by: step)
  }

  /// The examples of a step.
  private mutating func batch(at address: StepAddress) -> [Int] {
    let count = data.dataset.examples.count
    guard count > 0 else { return [] }
    return (0..<data.batchSize).map { offset in
      let place = Int(address.step) * data.batchSize + offset
      let pass = StepAddress(
        round: address.round,
        client: address.client,
        step: UInt32(place / count)
      )
      if order?.address != pass {
        var stream = RandomStream(
          key: key,
          purpose: .batch,
          round: pass.round,
          client: pass.client,
          step: pass.step
        )
        order = (pass, stream.permutation(of: count))
      }
      return order?.examples[place % count] ?? 0
    }
  }
}
