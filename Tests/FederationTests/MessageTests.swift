// Apache-2.0.
import Codecs
import SharedRandomness
import Testing
import WireProtocol

@Suite struct MessageTests {
  static let digest = Digest.sha256(of: [1, 2, 3])
  static let part = VersionSync.Part(
    client: 300,
    base: 4,
    weight: 65536,
    steps: 3,
    payload: [1, 2, 3]
  )

  static func order(_ sync: VersionSync, batchSize: UInt32 = 0) -> Message {
    .task(
      TaskOrder(
        run: 1,
        round: 7,
        client: 3,
        steps: 200,
        deadline: 60_000,
        digest: digest,
        batchSize: batchSize,
        sync: sync
      )
    )
  }

  static func result(steps: Int) -> TaskResult {
    TaskResult(
      run: 1,
      round: 200,
      digest: DigestPrefix(digest),
      meanLoss: .nan,
      skippedSteps: 1,
      clippedSteps: 2,
      payload: [UInt8](repeating: 9, count: steps)
    )
  }

  static let all: [Message] = [
    .hello(ClientHello(run: 7, software: "fedclient 1")),
    .ready(RunReady(run: 1, answer: .refused("no model"))),
    .ready(
      RunReady(
        run: 1,
        answer: .ready(
          .init(
            base: digest,
            examples: 12,
            parameters: 1 << 30,
            version: 4,
            digest: DigestPrefix(digest)
          )
        )
      )
    ),
    .ready(
      RunReady(
        run: 1,
        answer: .ready(
          .init(
            base: digest,
            examples: 12,
            parameters: 1 << 30,
            version: 4,
            digest: DigestPrefix(digest),
            device: DeviceProfile(
              memory: 64 << 20,
              frozen: .int8,
              rank: 4,
              batchSize: 8,
              shortStep: 1_000_000,
              longStep: 5_000_000_000
            )
          )
        )
      )
    ),
    .result(result(steps: 20)),
    .resend(run: 9),
    .failure(Failure(run: 0, text: "disk full")),
    .welcome(Welcome(software: "fedserver 1")),
    .offer(RunOffer(run: 2, configuration: [1, 2, 3])),
    order(.none),
    order(.rounds(first: 4, [[part, part], [], [part]])),
    order(.snapshot([5, 6, 7])),
    order(.snapshot([5, 6, 7]), batchSize: 3),
    order(.none, batchSize: 300),
    order(.advances(first: 5, [[1], [2, 3]])),
    .acknowledged(run: 1, round: 300),
    .runEnd(
      RunEnd(run: 1, outcome: .stopped, rounds: 3, digest: digest, reason: "asked to")
    ),
    .admin(.object([.init("command", .string("status"))])),
    .reply(.object([.init("done", .bool(true))])),
  ]

  @Test func `the beginning of a long result names its task`() throws {
    let pieces = Message.result(Self.result(steps: 300_000)).pieces
    guard case .bytes(let head)? = pieces.first else {
      Issue.record("a long result begins with its payload")
      return
    }
    #expect(head.count <= Announcement.longestBytes)
    let (run, round) = try #require(TaskResult.task(ofHead: head))
    #expect(run == 1 && round == 200)
    #expect(TaskResult.task(ofHead: []) == nil)
    #expect(TaskResult.task(ofHead: [1, 0xFF]) == nil)
  }

  @Test(arguments: all)
  func `a message survives its bytes`(message: Message) throws {
    #expect(try Message(kind: message.kind.rawValue, body: message.body) == message)
    #expect(message.body.count <= message.kind.limit)
  }

  @Test(arguments: all)
  func `no prefix and no longer form of a message is one`(message: Message) {
    let body = message.body
    for count in 0..<body.count {
      #expect(throws: CodecError.self) {
        try Message(kind: message.kind.rawValue, body: Array(body.prefix(count)))
      }
    }
    #expect(throws: CodecError.self) {
      try Message(kind: message.kind.rawValue, body: body + [0])
    }
  }

  @Test func `every kind has an example here`() {
    #expect(Set(Self.all.map(\.kind)) == Set(Message.Kind.allCases))
  }

  @Test func `a peer may send its own kinds only`() {
    #expect(Message.limit(Message.Kind.task.rawValue, from: .client) == nil)
    #expect(Message.limit(Message.Kind.admin.rawValue, from: .client) == nil)
    #expect(Message.limit(Message.Kind.result.rawValue, from: .server) == nil)
    #expect(Message.limit(Message.Kind.result.rawValue, from: .client) == Message.longestFrame)
    #expect(Message.transferLimit(Message.Kind.result.rawValue, from: .client) ?? 0 > 256 << 20)
    #expect(Message.transferLimit(Message.Kind.task.rawValue, from: .client) == nil)
    #expect(Message.transferLimit(Message.Kind.offer.rawValue, from: .server) == nil)
    #expect(Message.limit(200, from: .client) == nil)
  }

  @Test func `counts beyond the bytes allocate nothing`() {
    // A task whose sync announces 2^31 rounds, and one whose round announces 2^31 contributions.
    let head: [UInt8] = [1, 7, 3, 5, 5] + Self.digest.bytes
    let many: [UInt8] = [0x80, 0x80, 0x80, 0x80, 0x08]
    for tail in [[1, 4] + many, [1, 4, 1] + many, [2] + many] as [[UInt8]] {
      #expect(throws: CodecError.self) {
        try Message(kind: Message.Kind.task.rawValue, body: head + tail)
      }
    }
  }

  @Test func `a great block is a piece of its own, shared and not copied`() throws {
    let great = Blob([UInt8](repeating: 7, count: Blob.least))
    let syncs: [(VersionSync, blobs: Int)] = [
      (.snapshot(great), 1), (.advances(first: 5, [great, [1, 2], great]), 2), (.none, 0),
    ]
    for (sync, count) in syncs {
      let message = Self.order(sync)
      let shared = message.pieces.filter {
        if case .blob(let blob) = $0 { blob === great } else { false }
      }
      #expect(shared.count == count)
      #expect(message.pieces.flatMap(\.bytes) == message.body)
      #expect(try Message(kind: message.kind.rawValue, body: message.body) == message)
    }
    let result = Message.result(Self.result(steps: Blob.least))
    #expect(result.pieces.count == 2 && result.pieces.flatMap(\.bytes) == result.body)
  }

  @Test func `an upload of 200 steps is small`() {
    let ready = Self.result(steps: 200)
    // Frame header and one TLS record beside the body.
    #expect(Message.result(ready).body.count + 6 + 22 <= 256)
  }

  @Test func `a long text is cut at a whole character`() throws {
    let failure = Failure(run: 1, text: String(repeating: "é", count: 5000))
    let read = try Failure(decoding: failure.encoded)
    #expect(read.text.utf8.count <= Failure.maximumBytes)
    #expect(read.text.hasSuffix("é…"))
  }

  @Test func `random bodies are read or refused`() {
    var generator = RandomStream(key: 1, purpose: .device)
    for _ in 0..<5000 {
      let kind = Message.Kind.allCases.randomElement(using: &generator) ?? .hello
      let body = (0..<Int.random(in: 0...80, using: &generator)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      // What is read writes back to the same bytes; JSON has many spellings.
      if let message = try? Message(kind: kind.rawValue, body: body), kind != .admin, kind != .reply
      {
        #expect(message.body == body, "\(kind) \(body)")
      }
    }
  }
}
