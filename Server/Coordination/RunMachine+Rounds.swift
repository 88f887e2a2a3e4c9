// Apache-2.0.
import Codecs
import FederatedCore
import RunLedger
import Telemetry
import WireProtocol

/// A round from its tasks to its fold.
extension RunMachine {
  /// Opens the round of the current version.
  mutating func begin(_ now: Duration, _ effects: inout Effects) {
    begunAt = now
    let event = SchedulerEvent.begin(
      round: round,
      clients: UInt32(clients.count),
      tasks: tasks.keys.sorted(),
      arrived: arrivals
    )
    perform(scheduler.handle(event, now: now), now, &effects)
  }

  /// Does what the scheduler wants.
  mutating func perform(
    _ actions: [SchedulerAction],
    _ now: Duration,
    _ effects: inout Effects
  ) {
    for action in actions {
      guard phase == .training else { return }
      switch action {
      case .note(let text): effects.actions.append(.log(.warning, text))
      case .assign(let client, let steps):
        if tasks[client] == nil {
          tasks[client] = steps
          effects.records.append(
            .task(run: id, round: round, client: client, steps: UInt32(steps))
          )
        }
        sendTask(to: client, &effects)
      case .aggregate(let chosen): aggregate(chosen, now, &effects)
      }
    }
  }

  /// Sends a client its open task, where it is connected.
  mutating func sendTask(to client: UInt32, _ effects: inout Effects) {
    let name = clients[Int(client)].name
    guard let member = members[name], let steps = tasks[client], let digest = digests.last else {
      return
    }
    let milliseconds = configuration.schedule.deadline / .milliseconds(1)
    let order = TaskOrder(
      run: id,
      round: round,
      client: client,
      steps: UInt32(steps),
      deadline: UInt32(min(milliseconds, Double(UInt32.max))),
      digest: digest,
      sync: sync(from: member.version)
    )
    members[name]?.version = round
    effects.send(member.peer, .task(order))
  }

  /// A client could not use the state it was sent.
  mutating func resend(_ name: String, _ effects: inout Effects) {
    guard phase == .training, let client = ordinals[name], results[client] == nil,
      inFlight[client] == nil
    else { return }
    members[name]?.version = nil
    sendTask(to: client, &effects)
  }

  /// A client has done a task.
  mutating func result(
    _ peer: PeerNumber,
    _ name: String,
    _ result: TaskResult,
    now: Duration,
    _ effects: inout Effects
  ) {
    let acknowledgement = Message.acknowledged(run: id, round: result.round)
    // While the model is loaded after a restart, results count already.
    guard phase == .training || phase == .preparing, result.round == round,
      let client = ordinals[name], let steps = tasks[client]
    else {
      // Late, or not asked for: the client need not keep it, and it does not count.
      if !isOver {
        effects.actions.append(
          .log(.info, "result of \(name) for round \(result.round + 1) came late and is dropped")
        )
      }
      effects.send(peer, acknowledgement)
      return
    }
    guard results[client] == nil, inFlight[client] == nil else {
      effects.send(peer, acknowledgement)
      return
    }
    guard let digest = digests.last, result.digest == DigestPrefix(digest) else {
      effects.actions.append(
        .log(.warning, "client \(name) trained from another version; its state is sent again")
      )
      resend(name, &effects)
      return
    }
    let task = LocalTask(round: round, client: client, steps: steps)
    do {
      try session.check(result.payload, for: task)
    } catch {
      effects.send(peer, .failure(Failure(run: id, text: "\(error)")))
      taskFailed(name, "its result was refused: \(error)", now: now, &effects)
      return
    }
    inFlight[client] = Held(payload: result.payload, loss: result.meanLoss)
    effects.records.append(
      .contribution(
        run: id,
        round: round,
        client: client,
        loss: result.meanLoss,
        payload: result.payload
      )
    )
    effects.send(peer, acknowledgement)
    effects.steps.append(.arrived(run: id, round: round, client: client))
  }

  /// A contribution is durable.
  mutating func arrived(
    round: UInt32,
    client: UInt32,
    now: Duration,
    _ effects: inout Effects
  ) {
    guard phase == .training || phase == .preparing, round == self.round,
      let held = inFlight.removeValue(forKey: client)
    else { return }
    results[client] = held
    arrivals.append(client)
    guard phase == .training else { return }
    perform(scheduler.handle(.arrived(client: client), now: now), now, &effects)
  }

  /// A client cannot do what it was asked.
  mutating func taskFailed(
    _ name: String,
    _ text: String,
    now: Duration,
    _ effects: inout Effects
  ) {
    problems[name] = text
    effects.actions.append(.log(.warning, "client \(name): \(text)"))
    guard phase == .training, let client = ordinals[name], tasks[client] != nil,
      results[client] == nil, inFlight[client] == nil
    else { return }
    failed.insert(client)
    perform(scheduler.handle(.failed(client: client), now: now), now, &effects)
  }

  private func sync(from version: UInt32?) -> VersionSync {
    if version == round { return .none }
    if let version, let rounds = history.since(version) { return rounds }
    return .snapshot(session.snapshot())
  }

  private mutating func aggregate(
    _ chosen: [UInt32],
    _ now: Duration,
    _ effects: inout Effects
  ) {
    do {
      let contributions = try weighted(chosen.sorted())
      try session.fold(contributions)
      close(contributions, now, &effects)
    } catch {
      end(.failed, "round \(round + 1) cannot be folded: \(error)", &effects)
      return
    }
    if round == UInt32(configuration.rounds) {
      phase = .scoring
      finishIfDone(&effects)
    } else {
      begin(now, &effects)
    }
  }

  /// Contributions of the open round with their integer weights, in order of client.
  func weighted(_ chosen: [UInt32]) throws -> [Contribution] {
    let shares = try AggregationWeights.shares(of: chosen.map { clients[Int($0)].examples })
    return zip(chosen, shares).compactMap { client, share in
      guard let held = results[client], let steps = tasks[client] else { return nil }
      return Contribution(
        task: LocalTask(round: round, client: client, steps: steps),
        weight: share,
        payload: held.payload
      )
    }
  }

  /// The fold is done: the next version has its digest, its record and its report.
  private mutating func close(
    _ contributions: [Contribution],
    _ now: Duration,
    _ effects: inout Effects
  ) {
    guard let base else { return }
    let digest = session.digest(base: base)
    effects.records.append(
      .aggregation(
        run: id,
        round: round,
        weights: contributions.map { .init(client: $0.task.client, weight: $0.weight) },
        digest: digest
      )
    )
    let losses = contributions.compactMap { results[$0.task.client]?.loss }.filter { $0.isFinite }
    let report = RoundReport(
      run: id,
      round: round + 1,
      rounds: UInt32(configuration.rounds),
      sampled: tasks.count,
      clients: clients.count,
      contributors: contributions.map { clients[Int($0.task.client)].name },
      failures: failed.subtracting(arrivals).count,
      trainingLoss: losses.reduce(0) { $0 + Double($1) } / Double(losses.count),
      digest: digest,
      duration: now - begunAt
    )
    effects.actions.append(
      .folded(run: id, round: report.round, contributors: report.contributors)
    )
    advance(to: digest, contributions)
    score(&effects)
    publish(report, &effects)
  }

  /// Turns to the next version; what the round held is part of it now.
  mutating func advance(to digest: Digest, _ contributions: [Contribution]) {
    history.append(
      contributions.map {
        .init(
          client: $0.task.client,
          weight: $0.weight,
          steps: UInt32($0.task.steps),
          payload: $0.payload
        )
      },
      budget: session.snapshot().count
    )
    round += 1
    digests.append(digest)
    tasks = [:]
    inFlight = [:]
    results = [:]
    arrivals = []
    failed = []
  }
}
