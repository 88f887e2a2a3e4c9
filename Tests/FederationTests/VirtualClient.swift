// Apache-2.0.
import Coordination
import FederatedCore
import Participation
import SharedRandomness
import WireProtocol

extension Direction {
  /// Any direction, for a probe at distance zero.
  static let first = Direction(
    bank: DirectionBank(family: .independent, key: 0, epoch: 0),
    index: 0
  )
}

extension VirtualFederation {
  /// The production participant with the quadratic trainer behind it.
  struct VirtualClient {
    let name: String
    let examples: Int
    var peer: PeerNumber?
    /// Does not do what it is asked, until it is no more and something happens.
    var isMute = false
    /// Says of its next result that it was trained from another version.
    var isConfused = false
    private var machine = ParticipantMachine()
    private var left: TrainingOrder?

    init(name: String, examples: Int) {
      self.name = name
      self.examples = examples
    }

    /// What the client says to an event.
    mutating func answer(_ event: ParticipantEvent) throws -> [Message] {
      var actions = machine.handle(event)
      if let left, !isMute {
        self.left = nil
        actions += try train(left)
      }
      var said: [Message] = []
      while !actions.isEmpty {
        switch actions.removeFirst() {
        case .send(let message): said.append(confused(message))
        case .prepare(let run, _):
          let preparation = Preparation(
            base: VirtualFederation.base,
            examples: examples,
            blocks: QuadraticTrainer.blocks
          )
          actions += machine.handle(.prepared(run: run, .success(preparation)))
        case .train(let order):
          if isMute { left = order } else { actions += try train(order) }
        case .keep, .log, .ended: break
        }
      }
      return said
    }

    private mutating func train(_ order: TrainingOrder) throws -> [ParticipantAction] {
      var trainer: any LocalTrainer = QuadraticTrainer(client: order.task.client)
      try trainer.load(order.session.weightUpdates())
      let local = try order.session.train(order.task, on: &trainer)
      return machine.handle(
        .trained(run: order.run, round: order.task.round, .success(local))
      )
    }

    private mutating func confused(_ message: Message) -> Message {
      guard isConfused, case .result(let result) = message else { return message }
      isConfused = false
      return .result(
        TaskResult(
          run: result.run,
          round: result.round,
          digest: DigestPrefix(VirtualFederation.base),
          meanLoss: result.meanLoss,
          skippedSteps: result.skippedSteps,
          clippedSteps: result.clippedSteps,
          payload: result.payload
        )
      )
    }
  }
}
