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
      tasks: tasks.keys.sorted().compactMap { isAtWork($0) ? tasks[$0]?.key : nil },
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
      case .dismiss(let client, let after):
        guard let member = members[clients[Int(client)].name] else { continue }
        effects.steps.append(.act(.dismiss(member.peer, after: after)))
      case .note(let text): effects.actions.append(.log(.warning, text))
      case .assign(let client, let steps):
        if !isAtWork(client) {
          if tasks[client]?.key.base == round {
            // Its result of this version is here or on its way to the disk; a second task from the same
            // version would be the same task.
            deferred[client] = steps
            continue
          }
          let batch = batchSize(of: client)
          tasks[client] = OpenTask(
            key: TaskKey(client: client, base: round),
            steps: steps,
            batchSize: batch
          )
          effects.records.append(
            .task(run: id, round: round, client: client, steps: UInt32(steps), batch: batch)
          )
        }
        sendTask(to: client, now, &effects)
      case .aggregate(let chosen, let weighting): aggregate(chosen, weighting, now, &effects)
      }
    }
  }

  /// The batch with which a client's device is done with a step when the fastest is; 0 where it is not
  /// known how fast they are.
  private func batchSize(of client: UInt32) -> UInt32 {
    guard let device = members[clients[Int(client)].name]?.device?.profile else { return 0 }
    let pace =
      members.values.compactMap(\.device?.profile)
      .map { $0.step(examples: configuration.data.batchSize) }.min() ?? 0
    return device.batch(within: pace)
  }

  /// Whether a client has a task whose result is not here.
  func isAtWork(_ client: UInt32) -> Bool {
    guard let key = tasks[client]?.key else { return false }
    return results[key] == nil && inFlight[key] == nil
  }

  /// Sends a client its open task, where it is connected.
  mutating func sendTask(to client: UInt32, _ now: Duration, _ effects: inout Effects) {
    let name = clients[Int(client)].name
    guard let member = members[name], let task = tasks[client] else { return }
    let base = task.key.base
    guard base == round || member.version == base else {
      // The version is gone from here and from the client: another task takes its place.
      tasks[client] = nil
      perform(scheduler.handle(.failed(client: client), now: now), now, &effects)
      return
    }
    let milliseconds = configuration.schedule.deadline / .milliseconds(1)
    let order = TaskOrder(
      run: id,
      round: base,
      client: client,
      steps: UInt32(task.steps),
      deadline: UInt32(min(milliseconds, Double(UInt32.max))),
      digest: digests[Int(base)],
      batchSize: task.batchSize,
      sync: base == round ? sync(from: member.version) : .none
    )
    members[name]?.version = base
    effects.send(member.peer, .task(order))
  }

  /// A client could not use the state it was sent.
  mutating func resend(_ name: String, _ now: Duration, _ effects: inout Effects) {
    guard phase == .training, let client = ordinals[name], isAtWork(client) else { return }
    members[name]?.version = nil
    sendTask(to: client, now, &effects)
  }

  /// Whether a client's task of a round is its open one, so that its result is not late.
  func awaits(_ name: String, _ round: UInt32) -> Bool {
    // While the model is loaded after a restart, results count already.
    guard phase == .training || phase == .preparing, let client = ordinals[name] else {
      return false
    }
    return tasks[client]?.key.base == round
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
    guard phase == .training || phase == .preparing, let client = ordinals[name],
      let task = tasks[client], task.key.base == result.round
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
    guard isAtWork(client) else {
      effects.send(peer, acknowledgement)
      return
    }
    guard result.digest == DigestPrefix(digests[Int(task.key.base)]) else {
      effects.actions.append(
        .log(.warning, "client \(name) trained from another version; its state is sent again")
      )
      resend(name, now, &effects)
      return
    }
    let local = LocalTask(round: task.key.base, client: client, steps: task.steps)
    do {
      try session.check(result.payload, for: local)
    } catch {
      effects.send(peer, .failure(Failure(run: id, text: "\(error)")))
      taskFailed(name, "its result was refused: \(error)", now: now, &effects)
      return
    }
    note([result.payload.count])
    inFlight[task.key] = Held(steps: task.steps, payload: result.payload, loss: result.meanLoss)
    effects.records.append(
      .contribution(
        run: id,
        round: task.key.base,
        client: client,
        loss: result.meanLoss,
        payload: result.payload
      )
    )
    effects.send(peer, acknowledgement)
    effects.steps.append(.arrived(run: id, task.key))
  }

  /// A contribution is durable.
  mutating func arrived(_ key: TaskKey, now: Duration, _ effects: inout Effects) {
    guard phase == .training || phase == .preparing, let held = inFlight.removeValue(forKey: key)
    else { return }
    results[key] = held
    arrivals.append(key)
    guard phase == .training else { return }
    perform(scheduler.handle(.arrived(key), now: now), now, &effects)
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
    guard phase == .training, let client = ordinals[name], isAtWork(client) else { return }
    failed.insert(client)
    perform(scheduler.handle(.failed(client: client), now: now), now, &effects)
  }

  private mutating func sync(from version: UInt32?) -> VersionSync {
    if version == round { return .none }
    if let version, let rounds = history.since(version) { return rounds }
    // Made once for all who need it.
    let snapshot = snapshot ?? Blob(session.snapshot())
    self.snapshot = snapshot
    return .snapshot(snapshot)
  }

  private mutating func aggregate(
    _ chosen: [TaskKey],
    _ weighting: Weighting,
    _ now: Duration,
    _ effects: inout Effects
  ) {
    do {
      let contributions = contributions(chosen, try weights(chosen, weighting))
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
      let waiting = deferred.sorted { $0.key < $1.key }
      deferred = [:]
      perform(waiting.map { .assign(client: $0.key, steps: $0.value) }, now, &effects)
    }
  }

  /// Integer weights in units of 1 / `Contribution.aggregationWeight`.
  func weights(_ chosen: [TaskKey], _ weighting: Weighting) throws -> [UInt32] {
    switch weighting {
    case .examples:
      try AggregationWeights.shares(of: chosen.map { clients[Int($0.client)].examples })
    case .factors(let factors):
      factors.map { factor in
        let whole = Double(Contribution.aggregationWeight)
        return UInt32((max(0, min(1, factor)) * whole).rounded())
      }
    }
  }

  /// Contributions that are here, with their weights.
  func contributions(_ chosen: [TaskKey], _ weights: [UInt32]) -> [Contribution] {
    zip(chosen, weights).compactMap { key, weight in
      guard let held = results[key] else { return nil }
      return Contribution(
        task: LocalTask(round: key.base, client: key.client, steps: held.steps),
        weight: weight,
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
        weights: contributions.map {
          .init(client: $0.task.client, base: $0.task.round, weight: $0.weight)
        },
        digest: digest
      )
    )
    let losses = contributions.compactMap { results[$0.key]?.loss }.filter { $0.isFinite }
    let report = RoundReport(
      run: id,
      round: round + 1,
      rounds: UInt32(configuration.rounds),
      sampled: tasks.count,
      clients: clients.count,
      contributors: contributions.map { clients[Int($0.task.client)].name },
      ages: contributions.map { round - $0.task.round },
      failures: failed.subtracting(arrivals.map(\.client)).count,
      trainingLoss: losses.reduce(0) { $0 + Double($1) } / Double(losses.count),
      digest: digest,
      duration: now - begunAt
    )
    effects.actions.append(
      .folded(run: id, round: report.round, contributors: report.contributors)
    )
    advance(to: digest, contributions)
    checkpointIfDue(&effects)
    score(&effects)
    publish(report, &effects)
  }

  /// Turns to the next version; what the round held is part of it now.
  mutating func advance(to digest: Digest, _ contributions: [Contribution]) {
    snapshot = nil
    if let advance = session.advance() {
      history.append(Blob(advance), budget: advance.count * RoundHistory.mostAdvances)
    } else {
      let parts = contributions.map {
        VersionSync.Part(
          client: $0.task.client,
          base: $0.task.round,
          weight: $0.weight,
          steps: UInt32($0.task.steps),
          payload: $0.payload
        )
      }
      history.append(parts, budget: session.snapshot().count)
    }
    turn(to: digest, counted: Set(contributions.map(\.key)))
  }

  /// The next version has its number; what was counted, and whatever else its scheduler drops, is gone.
  mutating func turn(to digest: Digest, counted: Set<TaskKey>) {
    round += 1
    digests.append(digest)
    failed = []
    if type(of: scheduler).dropsOpenTasks {
      tasks = [:]
      inFlight = [:]
      results = [:]
      arrivals = []
    } else {
      for key in counted {
        results[key] = nil
        if tasks[key.client]?.key == key { tasks[key.client] = nil }
      }
      arrivals.removeAll { counted.contains($0) }
    }
  }
}

extension Contribution {
  /// The task it answers.
  var key: TaskKey { TaskKey(client: task.client, base: task.round) }
}
