// Apache-2.0.
import FederatedCore
import Participation
import SharedRandomness
import Telemetry
import Transport
import WireProtocol

/// One of many clients in a process: the production connection and the production participant, and
/// training that takes its time without any work.
// SAFETY: after `init` touched on the thread of its loop alone, where the transport tells its events.
final class LoadClient: @unchecked Sendable {
  let name: String
  private let model: Preparation
  private let stepTime: Double
  private let meter: LoadMeter
  private var machine = ParticipantMachine(software: "fedbench")
  private var transport: TransportClient?
  private var isStopped = false

  /// A client on a loop that it shares with others.
  ///
  /// - Parameter stepTime: seconds that a local step takes it.
  init(
    _ identity: ClientIdentity,
    _ model: Preparation,
    stepTime: Double,
    on loop: EventLoop,
    _ meter: LoadMeter
  ) throws {
    name = identity.name
    self.model = model
    self.stepTime = stepTime
    self.meter = meter
    transport = try TransportClient(
      .server(identity.addresses),
      identity: identity,
      limit: { Message.limit($0, from: .server) },
      loop: loop,
      onEvent: { [weak self] in self?.handle($0) }
    )
  }

  /// Connects; told to the meter once it has.
  func connect() { transport?.connect() }

  /// Says goodbye and waits for the end.
  func stop() {
    transport?.schedule(after: .zero) { self.isStopped = true }
    transport?.stop()
  }

  private func handle(_ event: TransportEvent) {
    switch event {
    case .connected:
      meter.connected(name)
      tell(.connected)
    case .received(_, let kind, let body, _):
      guard let message = try? Message(kind: kind, body: body) else { return meter.failed(name) }
      if case .task(let order) = message { meter.ordered(name, from: order.round) }
      if case .acknowledged = message { meter.acknowledged(name) }
      if case .failure = message { meter.failed(name) }
      tell(.received(message))
    case .announced, .backpressure: break
    case .closed:
      tell(.closed)
      guard !isStopped else { return }
      meter.lost(name)
      transport?.schedule(after: .seconds(1)) { self.transport?.connect() }
    }
  }

  private func tell(_ event: ParticipantEvent) {
    for action in machine.handle(event) {
      switch action {
      case .send(let message): transport?.send(message)
      case .prepare(let run, _): tell(.prepared(run: run, .success(model)))
      case .train(let order): train(order)
      case .keep, .log, .ended: break
      }
    }
  }

  private func train(_ order: TrainingOrder) {
    let result: Result<LocalResult, ParticipationFailure>
    do {
      var trainer: any LocalTrainer = IdleTrainer(model, client: order.task.client)
      result = .success(try order.session.train(order.task, on: &trainer))
    } catch {
      result = .failure(ParticipationFailure("\(error)"))
    }
    let time = Duration.seconds(stepTime * Double(order.task.steps))
    transport?.schedule(after: time) {
      self.tell(.trained(run: order.run, round: order.task.round, result))
    }
  }
}

/// A trainer without a model: its losses are numbers that look random.
struct IdleTrainer: LocalTrainer {
  let parameterCount: Int
  let blocks: [ParameterBlock]
  let exampleCount: Int
  var memory: [UInt8] = []
  private var noise: RandomStream

  init(_ model: Preparation, client: UInt32) {
    parameterCount = model.parameters
    blocks = model.blocks
    exampleCount = model.examples
    noise = RandomStream(key: UInt64(client), purpose: .device)
  }

  mutating func load(_ updates: [WeightUpdate]) throws {}

  mutating func probe(
    _ direction: Direction,
    epsilon: Float,
    at address: StepAddress
  ) throws -> (plus: Float, minus: Float) {
    (Float.random(in: 1...2, using: &noise), Float.random(in: 1...2, using: &noise))
  }

  mutating func move(along direction: Direction, by step: Float) throws {}

  mutating func descend(
    _ rule: LocalRule,
    rate: Float,
    at address: StepAddress
  ) throws -> Float { Float.random(in: 1...2, using: &noise) }

  mutating func difference(into amounts: inout [Float]) throws {
    amounts = [Float](repeating: 0, count: parameterCount)
  }
}
