// Apache-2.0.
import Codecs
import FederatedAlgorithms
import FederatedCore
import SharedRandomness
import WireProtocol

extension Direction {
  /// Any direction, for a probe at distance zero.
  static let first = Direction(
    bank: DirectionBank(family: .independent, key: 0, epoch: 0),
    index: 0
  )
}

extension VirtualFederation.VirtualClient {
  /// What the client says to a message.
  mutating func answer(_ message: Message) throws -> [Message] {
    switch message {
    case .offer(let offer): return [try ready(offer)]
    case .task(let order): return isMute ? [] : try work(order)
    case .acknowledged(_, let round):
      if unacknowledged?.round == round { unacknowledged = nil }
      return []
    default: return []
    }
  }

  private mutating func ready(_ offer: RunOffer) throws -> Message {
    let configuration = try RunConfiguration(decoding: offer.configuration)
    if session == nil {
      session = try AlgorithmCatalog.start(
        algorithm: configuration.algorithm.json,
        key: configuration.runKey
      )
      try session?.begin(QuadraticTrainer.blocks)
    }
    let digest = session?.digest(base: VirtualFederation.base) ?? VirtualFederation.base
    return .ready(
      RunReady(
        run: offer.run,
        answer: .ready(
          .init(
            base: VirtualFederation.base,
            examples: examples,
            parameters: UInt64(QuadraticTrainer.count),
            version: version,
            digest: DigestPrefix(digest)
          )
        )
      )
    )
  }

  private mutating func work(_ order: TaskOrder) throws -> [Message] {
    guard var session else { return [] }
    switch order.sync {
    case .none: break
    case .snapshot(let blob): try session.restore(blob.bytes)
    case .advances(let first, let rounds):
      guard first == version else { return [.resend(run: order.run)] }
      for round in rounds { try session.advance(by: round.bytes) }
    case .rounds(let first, let rounds):
      guard first == version else { return [.resend(run: order.run)] }
      for (offset, parts) in rounds.enumerated() {
        try session.fold(
          parts.map {
            Contribution(
              task: LocalTask(
                round: first + UInt32(offset),
                client: $0.client,
                steps: Int($0.steps)
              ),
              weight: $0.weight,
              payload: $0.payload
            )
          }
        )
      }
    }
    guard session.digest(base: VirtualFederation.base) == order.digest else {
      return [.resend(run: order.run)]
    }
    self.session = session
    version = order.round
    var trainer: any LocalTrainer = QuadraticTrainer(client: order.client)
    try trainer.load(session.weightUpdates())
    let task = LocalTask(round: order.round, client: order.client, steps: Int(order.steps))
    let local = try session.train(task, on: &trainer)
    let digest = isConfused ? VirtualFederation.base : order.digest
    isConfused = false
    let result = TaskResult(
      run: order.run,
      round: order.round,
      digest: DigestPrefix(digest),
      meanLoss: local.meanLoss,
      skippedSteps: UInt32(local.skippedSteps),
      clippedSteps: UInt32(local.clippedSteps),
      payload: local.payload
    )
    unacknowledged = result
    return [.result(result)]
  }
}
