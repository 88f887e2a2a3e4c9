// Apache-2.0.
import Codecs
import FederatedCore
import Participation
import Synchronization
import Transport
import WireProtocol

/// The production participant behind a real connection, training by the quadratic trainer, or a wide
/// one, on the connection's own thread.
final class WireClient: Sendable {
  /// What the test may ask about afterwards.
  struct Notes {
    /// (run, round) of every acknowledgement.
    var acknowledged: [[UInt32]] = []
    /// Bytes since the connection began when each task came, by round.
    var tasks: [(round: UInt32, traffic: Traffic)] = []
    var connections = 0
    var problems: [String] = []
  }

  private struct State {
    var machine: ParticipantMachine
    var notes = Notes()
    var isStopped = false
  }

  /// The transport's client comes after the closure that it calls.
  private final class Box: Sendable {
    let client = Mutex<WireClient?>(nil)
  }

  private let state: Mutex<State>
  private let transport: TransportClient
  private let box: Box
  private let base: Digest
  private let examples: Int
  /// Of the wide trainer; nil for the quadratic one.
  private let blocks: [ParameterBlock]?
  private let storeLoop: EventLoop?
  /// How a run ended, once told.
  let ends: AsyncStream<RunEnd>
  private let continuation: AsyncStream<RunEnd>.Continuation

  /// A client that connects, and connects again whenever the connection is lost.
  ///
  /// - Parameters:
  ///   - blocks: tensors of the wide trainer; nil for the quadratic one.
  ///   - parts: folder for messages in chunks; nil where there are none.
  init(
    _ identity: ClientIdentity,
    base: Digest,
    examples: Int,
    blocks: [ParameterBlock]? = nil,
    parts: String? = nil
  ) throws {
    let box = Box()
    self.box = box
    self.base = base
    self.examples = examples
    self.blocks = blocks
    var transfers: TransferSettings?
    if let parts {
      let loop = try EventLoop()
      storeLoop = loop
      let limits = PartStore.Limits(mostOfOwner: 64)
      let store = try PartStore(folder: parts, limits: limits, namesWhole: false, loop: loop)
      transfers = TransferSettings(store: store) { kind, _ in
        Message.transferLimit(kind, from: .server)
      }
    } else {
      storeLoop = nil
    }
    state = Mutex(State(machine: ParticipantMachine(software: "test")))
    (ends, continuation) = AsyncStream.makeStream()
    transport = try TransportClient(
      .server(identity.addresses),
      identity: identity,
      limit: { Message.limit($0, from: .server) },
      transfers: transfers,
      onEvent: { event in box.client.withLock { $0 }?.handle(event) }
    )
    box.client.withLock { $0 = self }
    transport.connect()
  }

  var notes: Notes { state.withLock { $0.notes } }

  /// Says goodbye and waits for the connection to end.
  func stop() {
    state.withLock { $0.isStopped = true }
    transport.stop()
    storeLoop?.stop()
    box.client.withLock { $0 = nil }
  }

  private func handle(_ event: TransportEvent) {
    switch event {
    case .connected:
      state.withLock { $0.notes.connections += 1 }
      tell(.connected)
    case .received(_, let kind, let body, let traffic):
      do {
        let message = try Message(kind: kind, body: body)
        note(message, traffic)
        tell(.received(message))
      } catch {
        state.withLock { $0.notes.problems.append("\(error)") }
      }
    case .announced, .backpressure: break
    case .closed:
      tell(.closed)
      guard !state.withLock({ $0.isStopped }) else { return }
      transport.schedule(after: .milliseconds(5)) { [transport] in transport.connect() }
    }
  }

  private func note(_ message: Message, _ traffic: Traffic) {
    state.withLock { state in
      switch message {
      case .acknowledged(let run, let round): state.notes.acknowledged.append([run, round])
      case .task(let order): state.notes.tasks.append((order.round, traffic))
      case .failure(let failure): state.notes.problems.append(failure.text)
      default: break
      }
    }
  }

  private func tell(_ event: ParticipantEvent) {
    for action in state.withLock({ $0.machine.handle(event) }) {
      switch action {
      case .send(let message): transport.send(message)
      case .prepare(let run, _):
        let preparation = Preparation(
          base: base,
          examples: examples,
          blocks: blocks ?? QuadraticTrainer.blocks
        )
        tell(.prepared(run: run, .success(preparation)))
      case .train(let order):
        tell(.trained(run: order.run, round: order.task.round, train(order)))
      case .ended(let end): continuation.yield(end)
      case .keep, .log: break
      }
    }
  }

  private func train(_ order: TrainingOrder) -> Result<LocalResult, ParticipationFailure> {
    do {
      var trainer: any LocalTrainer =
        blocks.map { WideTrainer($0, memory: order.memory) }
        ?? QuadraticTrainer(client: order.task.client, memory: order.memory)
      try trainer.load(order.session.weightUpdates())
      return .success(try order.session.train(order.task, on: &trainer))
    } catch {
      return .failure(ParticipationFailure("\(error)"))
    }
  }
}
