// Apache-2.0.
import Codecs
import FederatedAlgorithms
import FederatedCore
import Participation
import Testing
import WireProtocol

/// The participant as a value, told what a server would tell it.
@Suite struct ParticipantMachineTests {
  /// A server's side of one run: its versions and what leads to them.
  struct Course {
    static let base = VirtualFederation.base
    let configuration: RunConfiguration
    var session: any AlgorithmSession
    /// Parts of the rounds that were folded.
    var rounds: [[VersionSync.Part]] = []

    init(seed: Int = 3) throws {
      configuration = try RunConfiguration(
        json5: Array(
          """
          {
            name: "course", model: "none", rounds: 9, seed: \(seed), schedule: { clients: 1 },
            algorithm: { name: "fedkseed", seeds: 64, steps: 4, learning_rate: 0.002 },
          }
          """.utf8
        )
      )
      session = try AlgorithmCatalog.start(
        algorithm: configuration.algorithm.json,
        key: configuration.runKey
      )
    }

    var offer: Message { .offer(RunOffer(run: 1, configuration: configuration.encoded)) }

    var digest: Digest { session.digest(base: Self.base) }

    /// Folds what client 0 makes of the present version.
    mutating func advance() throws {
      let task = LocalTask(round: UInt32(rounds.count), client: 0, steps: 4)
      var trainer: any LocalTrainer = QuadraticTrainer(client: 0)
      try trainer.load(session.weightUpdates())
      let payload = try session.train(task, on: &trainer).payload
      let weight = Contribution.aggregationWeight
      try session.fold([Contribution(task: task, weight: weight, payload: payload)])
      let part = VersionSync.Part(
        client: 0,
        base: task.round,
        weight: weight,
        steps: 4,
        payload: payload
      )
      rounds.append([part])
    }

    /// The task of the present version.
    func task(_ sync: VersionSync, digest: Digest? = nil) -> Message {
      .task(
        TaskOrder(
          run: 1,
          round: UInt32(rounds.count),
          client: 0,
          steps: 4,
          deadline: 1000,
          digest: digest ?? self.digest,
          sync: sync
        )
      )
    }
  }

  static let preparation = Preparation(
    base: Course.base,
    examples: 10,
    blocks: QuadraticTrainer.blocks
  )

  /// A client that is ready, and what it said.
  static func ready(
    _ course: Course,
    kept: KeptVersion? = nil
  ) -> (machine: ParticipantMachine, holding: RunReady.Holding?) {
    var machine = ParticipantMachine(kept: kept)
    _ = machine.handle(.connected)
    _ = machine.handle(.received(course.offer))
    let actions = machine.handle(.prepared(run: 1, .success(preparation)))
    for case .ready(let ready) in sent(actions) {
      if case .ready(let holding) = ready.answer { return (machine, holding) }
    }
    return (machine, nil)
  }

  static func sent(_ actions: [ParticipantAction]) -> [Message] {
    actions.compactMap { if case .send(let message) = $0 { message } else { nil } }
  }

  static func kept(_ actions: [ParticipantAction]) -> KeptVersion? {
    actions.compactMap { if case .keep(let version) = $0 { version() } else { nil } }.last
  }

  static func order(_ actions: [ParticipantAction]) -> TrainingOrder? {
    actions.compactMap { if case .train(let order) = $0 { order } else { nil } }.last
  }

  static let local = LocalResult(
    payload: [1, 2, 3, 4],
    meanLoss: 2,
    skippedSteps: 0,
    clippedSteps: 1
  )

  @Test func `a result is kept and sent until it is acknowledged`() throws {
    let course = try Course()
    var (machine, holding) = Self.ready(course)
    #expect(holding?.version == 0)
    #expect(holding?.digest == DigestPrefix(course.digest))
    let order = Self.order(machine.handle(.received(course.task(.none))))
    #expect(order?.task == LocalTask(round: 0, client: 0, steps: 4))
    #expect(machine.isTraining)
    let done = machine.handle(.trained(run: 1, round: 0, .success(Self.local)))
    guard case .result(let result)? = Self.sent(done).first else {
      Issue.record("no result: \(done)")
      return
    }
    #expect(result.payload == Self.local.payload)
    #expect(Self.kept(done)?.result == result)
    for _ in 0..<2 {
      _ = machine.handle(.closed)
      _ = machine.handle(.connected)
      let again = Self.sent(machine.handle(.received(course.offer)))
      #expect(again.first == .result(result))
      #expect(again.last?.kind == .ready)
    }
    // The task once more means that the server has no result of it: it is not trained again.
    #expect(Self.sent(machine.handle(.received(course.task(.none)))) == [.result(result)])
    let quiet = machine.handle(.received(.acknowledged(run: 1, round: 0)))
    #expect(Self.kept(quiet) != nil)
    #expect(Self.kept(quiet)?.result == nil)
    let after = Self.sent(machine.handle(.received(course.offer)))
    #expect(after.map(\.kind) == [.ready])
  }

  @Test func `rounds, a snapshot and a life before lead to the same bits`() throws {
    var course = try Course()
    var (present, _) = Self.ready(course)
    for _ in 0..<3 {
      try course.advance()
      let first = UInt32(course.rounds.count - 1)
      let actions = present.handle(
        .received(course.task(.rounds(first: first, [course.rounds[Int(first)]])))
      )
      #expect(Self.order(actions)?.session.digest(base: Course.base) == course.digest)
      _ = present.handle(.trained(run: 1, round: first + 1, .success(Self.local)))
    }
    let last = present.handle(.received(.acknowledged(run: 1, round: 3)))
    let kept = try #require(Self.kept(last))
    let synced: [VersionSync] = [
      .rounds(first: 0, course.rounds), .snapshot(Blob(course.session.snapshot())),
    ]
    for sync in synced {
      var (late, _) = Self.ready(course)
      let order = Self.order(late.handle(.received(course.task(sync))))
      #expect(order?.session.snapshot() == course.session.snapshot())
    }
    let bytes = kept.encoded
    var (again, holding) = Self.ready(course, kept: try KeptVersion(decoding: bytes))
    #expect(holding?.version == 3)
    #expect(holding?.digest == DigestPrefix(course.digest))
    #expect(Self.order(again.handle(.received(course.task(.none)))) != nil)
  }

  @Test func `what was kept of another run is dropped`() throws {
    var course = try Course()
    let other = try Course(seed: 4)
    try course.advance()
    let kept = KeptVersion(
      run: 1,
      configuration: other.configuration.digest,
      version: 1,
      snapshot: course.session.snapshot(),
      result: nil
    )
    #expect(Self.ready(course, kept: kept).holding?.version == 0)
    let damaged = KeptVersion(
      run: 1,
      configuration: course.configuration.digest,
      version: 1,
      snapshot: [1, 2, 3],
      result: nil
    )
    #expect(Self.ready(course, kept: damaged).holding?.version == 0)
  }

  @Test func `a state of another digest is asked for whole, then told as a failure`() throws {
    var course = try Course()
    try course.advance()
    var (machine, _) = Self.ready(course)
    let wrong = try Course(seed: 4)
    #expect(
      Self.sent(machine.handle(.received(course.task(.none)))) == [.resend(run: 1)]
    )
    let again = Self.sent(
      machine.handle(.received(course.task(.snapshot(Blob(wrong.session.snapshot())))))
    )
    #expect(again.map(\.kind) == [.failure])
    #expect(!machine.isTraining)
    let right = machine.handle(.received(course.task(.snapshot(Blob(course.session.snapshot())))))
    #expect(Self.order(right) != nil)
  }

  @Test func `a newer task takes the place of the one at work`() throws {
    var course = try Course()
    var (machine, _) = Self.ready(course)
    let first = course.task(.none)
    _ = machine.handle(.received(first))
    // The same task again, after a lost connection, changes nothing.
    #expect(Self.order(machine.handle(.received(first))) == nil)
    try course.advance()
    let newer = course.task(.rounds(first: 0, course.rounds))
    #expect(Self.order(machine.handle(.received(newer)))?.task.round == 1)
    #expect(machine.handle(.trained(run: 1, round: 0, .success(Self.local))).isEmpty)
    // Nor does an older one, late on its way.
    #expect(machine.handle(.received(first)).isEmpty)
    let actions = machine.handle(.trained(run: 1, round: 1, .success(Self.local)))
    #expect(Self.sent(actions).map(\.kind) == [.result])
  }

  @Test func `a reason not to take part is told, and looked at again after a reconnection`() throws
  {
    let course = try Course()
    var machine = ParticipantMachine()
    _ = machine.handle(.connected)
    _ = machine.handle(.received(course.offer))
    let refused = machine.handle(.prepared(run: 1, .failure(ParticipationFailure("no data"))))
    #expect(Self.sent(refused) == [.ready(RunReady(run: 1, answer: .refused("no data")))])
    let task = Self.sent(machine.handle(.received(course.task(.none))))
    #expect(task.map(\.kind) == [.failure])
    _ = machine.handle(.closed)
    _ = machine.handle(.connected)
    let again = machine.handle(.received(course.offer))
    #expect(again.contains { if case .prepare(run: 1, _) = $0 { true } else { false } })
    let ready = Self.sent(machine.handle(.prepared(run: 1, .success(Self.preparation))))
    #expect(ready.map(\.kind) == [.ready])
  }

  @Test func `a run that cannot be read is refused in words`() {
    var machine = ParticipantMachine()
    _ = machine.handle(.connected)
    let offer = Message.offer(RunOffer(run: 7, configuration: [1, 0x7B]))
    let actions = machine.handle(.received(offer))
    guard case .ready(let ready)? = Self.sent(actions).first, case .refused = ready.answer else {
      Issue.record("not refused: \(actions)")
      return
    }
    #expect(ready.run == 7)
    #expect(machine.run == nil)
  }

  @Test func `the end of a run lets go of everything`() throws {
    let course = try Course()
    var (machine, _) = Self.ready(course)
    _ = machine.handle(.received(course.task(.none)))
    let end = RunEnd(run: 1, outcome: .stopped, rounds: 0, digest: course.digest, reason: "enough")
    let actions = machine.handle(.received(.runEnd(end)))
    #expect(actions.contains { if case .ended(let told) = $0 { told == end } else { false } })
    #expect(machine.run == nil)
    // The task at work comes to nothing.
    #expect(machine.handle(.trained(run: 1, round: 0, .success(Self.local))).isEmpty)
  }
}
