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
  let workspace: TrainerWorkspace
  private let data: ClientData
  private let key: UInt64
  private var order: (address: StepAddress, examples: [Int])?
  /// The version loaded last.
  var updates: [WeightUpdate] = []
  /// Whether the weights were moved since.
  var hasMoved = false
  /// Whether the workspace's reference holds the weights of that version.
  var hasReference = false
  /// What takes the steps down the gradient, since that version was loaded.
  var descent: GradientTrainer?
  /// What the algorithm keeps at this client from task to task.
  public let memory: [UInt8]

  /// A trainer of `data` in a worker's workspace.
  ///
  /// - Parameters:
  ///   - key: Philox key of the run.
  ///   - memory: what the algorithm kept when this client trained last.
  public init(
    _ workspace: TrainerWorkspace,
    data: ClientData,
    key: UInt64,
    memory: [UInt8] = []
  ) {
    self.memory = memory
    self.workspace = workspace
    self.data = data
    self.key = key
  }

  /// Trainable scalars, d.
  public var parameterCount: Int { workspace.model.parameterCount }

  /// The trainable tensors in canonical order.
  public var blocks: [ParameterBlock] { workspace.model.blocks }

  /// Examples of the client.
  public var exampleCount: Int { data.dataset.examples.count }

  /// Brings the workspace's weights to a version.
  public mutating func load(_ updates: [WeightUpdate]) throws {
    workspace.load(updates)
    self.updates = updates
    hasMoved = false
    hasReference = false
    descent = nil
  }

  /// Mean losses at w ± ε·z on the batch of the address.
  public mutating func probe(
    _ direction: Direction,
    epsilon: Float,
    at address: StepAddress
  ) throws -> (plus: Float, minus: Float) {
    let prepared = try workspace.prepare(examples(at: address), rows: data.batchSize)
    workspace.workspace.setDirection(direction)
    let plus = try prepared.meanLoss(epsilon: epsilon)
    let minus = try prepared.meanLoss(epsilon: -epsilon)
    return (plus, minus)
  }

  /// w ← w + step·z.
  public mutating func move(along direction: Direction, by step: Float) throws {
    workspace.workspace.setDirection(direction)
    workspace.workspace.move(by: step)
    hasMoved = true
  }

  /// Examples of a batch.
  var batchSize: Int { data.batchSize }

  /// The examples of the batch that an address draws.
  public mutating func examples(at address: StepAddress) -> [Example] {
    batch(at: address).map { data.dataset.examples[$0] }
  }

  /// Their places in the data.
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
