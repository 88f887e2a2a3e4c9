// Apache-2.0.
public import Codecs
public import Coordination
public import FederatedCore
public import FineTuning

/// What the simulated machines really compute: the model, or in tests something smaller.
public protocol SimulatedWork: Sendable {
  /// What one worker needs to train and evaluate; used by one thread at a time.
  associatedtype Worker

  /// Names the base weights.
  var base: Digest { get }
  /// The trainable tensors in canonical order.
  var blocks: [ParameterBlock] { get }
  /// Clients.
  var clientCount: Int { get }

  /// Examples of a client.
  func exampleCount(of client: Int) -> Int

  /// What a client's device trains, where devices train different parts; nil where all train alike.
  ///
  /// - Throws: where it has room for nothing.
  func fit(of client: Int) throws -> DeviceFit?

  /// A worker.
  func makeWorker() throws -> Worker

  /// Does the local steps of a client's task; `memory` is what the algorithm kept at its last.
  func train(
    client: Int,
    _ task: LocalTask,
    from session: any AlgorithmSession,
    memory: [UInt8],
    on worker: inout Worker
  ) throws -> LocalResult

  /// Evaluates a version on the held-out data.
  func evaluate(_ updates: [WeightUpdate], on worker: inout Worker) throws -> VersionScore
}

extension SimulatedWork {
  /// All train alike.
  public func fit(of _: Int) throws -> DeviceFit? { nil }
}
