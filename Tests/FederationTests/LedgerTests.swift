// Apache-2.0.
import Codecs
import Glibc
import RunLedger
import TestSupport
import Testing

@Suite struct LedgerTests {
  static let records: [LedgerRecord] = [
    .run(id: 1, name: "first", configuration: [1, 2, 3]),
    .layout(run: 1, blocks: [1, 2, 3]),
    .base(run: 1, digest: .sha256(of: [9])),
    .client(run: 1, ordinal: 0, name: "a", examples: 12),
    .client(run: 1, ordinal: 1, name: "b", examples: 1 << 40),
    .task(run: 1, round: 0, client: 0, steps: 20),
    .task(run: 1, round: 0, client: 1, steps: 20, batch: 3),
    .contribution(run: 1, round: 0, client: 0, loss: 1.5, payload: [0, 255, 128]),
    .contribution(run: 1, round: 0, client: 1, loss: .nan, payload: []),
    .aggregation(
      run: 1,
      round: 0,
      weights: [.init(client: 0, base: 2, weight: 65535), .init(client: 1, base: 2, weight: 1)],
      digest: .sha256(of: [7])
    ),
    .checkpoint(run: 1, round: 1, pending: [.init(client: 3, base: 1 << 20)], state: [4, 5, 6]),
    .evaluation(run: 1, round: 1, loss: 0.25, accuracy: nil),
    .evaluation(run: 1, round: 2, loss: 0.25, accuracy: 0.75),
    .state(run: 1, state: .completed, reason: "all rounds done"),
    .state(run: 1, state: .completed, reason: "all rounds done"),
  ]

  /// NaN differs from itself, so records are compared as bytes.
  static func bytes(_ records: [LedgerRecord]) -> [[UInt8]] { records.map(\.encoded) }

  @Test func `records come back in the order they were committed`() throws {
    let ledger = try Ledger(path: ":memory:")
    #expect(try ledger.commit(Self.records) == Self.records.map { _ in true })
    #expect(Self.bytes(try ledger.records(of: 1)) == Self.bytes(Self.records))
    #expect(try ledger.runs() == [1])
    #expect(try ledger.records(of: 2).isEmpty)
  }

  @Test func `a contribution counts once`() throws {
    let ledger = try Ledger(path: ":memory:")
    let first = LedgerRecord.contribution(run: 1, round: 3, client: 2, loss: 1, payload: [1])
    let again = LedgerRecord.contribution(run: 1, round: 3, client: 2, loss: 9, payload: [2])
    #expect(try ledger.commit([first]) == [true])
    #expect(try ledger.commit([again, first]) == [false, false])
    #expect(Self.bytes(try ledger.records(of: 1)) == Self.bytes([first]))
  }

  @Test func `the same client in another round or run is another contribution`() throws {
    let ledger = try Ledger(path: ":memory:")
    let records = [(1, 1), (1, 2), (2, 1)].map {
      LedgerRecord.contribution(run: $0.0, round: $0.1, client: 0, loss: 1, payload: [])
    }
    #expect(try ledger.commit(records) == [true, true, true])
    #expect(try ledger.runs() == [1, 2])
  }

  @Test func `a file keeps what was committed and is held by its own rules`() throws {
    try Self.withTemporaryFile { path in
      do {
        let ledger = try Ledger(path: path)
        try ledger.commit(Self.records)
      }
      let ledger = try Ledger(path: path)
      #expect(Self.bytes(try ledger.records(of: 1)) == Self.bytes(Self.records))
    }
  }

  @Test func `a file that is no database is refused`() throws {
    try Self.withTemporaryFile { path in
      let descriptor = unsafe open(path, O_WRONLY | O_CREAT, 0o600)
      let junk = [UInt8](repeating: 0x41, count: 4096)
      unsafe write(descriptor, junk, junk.count)
      close(descriptor)
      #expect(throws: LedgerError.self) { _ = try Ledger(path: path) }
    }
  }

  @Test func `every record survives its bytes and no prefix of them`() throws {
    for record in Self.records {
      let bytes = record.encoded
      #expect(try LedgerRecord(decoding: bytes).encoded == bytes)
      for count in 0..<bytes.count {
        #expect(throws: CodecError.self) { _ = try LedgerRecord(decoding: bytes.prefix(count)) }
      }
      #expect(throws: CodecError.self) { _ = try LedgerRecord(decoding: bytes + [0]) }
    }
  }

  @Test func `a count beyond the bytes allocates nothing`() {
    // aggregation, run 1, round 0, 2^31 weights announced
    let hostile: [UInt8] = [5, 1, 0, 0x80, 0x80, 0x80, 0x80, 0x08]
    #expect(throws: CodecError.self) { _ = try LedgerRecord(decoding: hostile) }
  }

  @Test func `a great payload lies in a file of its own and comes back the same`() throws {
    let folder = TemporaryFolder()
    let (path, blobs) = ("\(folder.path)/ledger", "\(folder.path)/blobs")
    let payload = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 3) }
    let name = Digest.sha256(of: payload).description
    let great = LedgerRecord.contribution(run: 1, round: 0, client: 1, loss: 2, payload: payload)
    let small = LedgerRecord.contribution(run: 1, round: 0, client: 2, loss: 2, payload: [1])
    do {
      let ledger = try Ledger(path: path, blobs: blobs)
      #expect(try ledger.commit([great, small]) == [true, true])
      #expect(try ledger.commit([great]) == [false])
    }
    #expect(LedgerFile.size("\(blobs)/\(name)") == payload.count)
    #expect(try #require(LedgerFile.size(path)) < payload.count)
    let ledger = try Ledger(path: path, blobs: blobs)
    #expect(Self.bytes(try ledger.records(of: 1)) == Self.bytes([great, small]))
    // A byte of the file changes, then the file is gone: the row is named, nothing is made up.
    for damage in [true, false] {
      try LedgerFile.damage("\(blobs)/\(name)", removes: !damage)
      #expect(throws: LedgerError.missing(file: name, row: 1)) { try ledger.records(of: 1) }
    }
  }

  @Test func `a block that has arrived becomes the ledger's own`() throws {
    let folder = TemporaryFolder()
    let (path, blobs) = ("\(folder.path)/ledger", "\(folder.path)/blobs")
    let ledger = try Ledger(path: path, blobs: blobs)
    let payload = [UInt8](repeating: 3, count: 100_000)
    let name = Digest.sha256(of: payload).description
    try LedgerFile.write(payload, to: "\(blobs)/\(name).whole")
    let record = LedgerRecord.contribution(run: 1, round: 0, client: 1, loss: 2, payload: payload)
    try ledger.commit([record])
    #expect(LedgerFile.size("\(blobs)/\(name).whole") == nil)
    #expect(LedgerFile.size("\(blobs)/\(name)") == payload.count)
    #expect(Self.bytes(try ledger.records(of: 1)) == Self.bytes([record]))
  }

  static func withTemporaryFile(_ body: (String) throws -> Void) throws {
    let folder = TemporaryFolder()
    try withExtendedLifetime(folder) { try body("\(folder.path)/ledger") }
  }

}

/// Files as the tests want them.
enum LedgerFile {
  static func size(_ path: String) -> Int? {
    var status = stat()
    return unsafe stat(path, &status) == 0 ? Int(status.st_size) : nil
  }

  static func write(_ bytes: [UInt8], to path: String) throws {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    defer { close(descriptor) }
    let count = unsafe Glibc.write(descriptor, bytes, bytes.count)
    try #require(count == bytes.count)
  }

  /// Changes a byte of a file, or removes it.
  static func damage(_ path: String, removes: Bool) throws {
    if removes {
      try #require(unsafe unlink(path) == 0)
    } else {
      let descriptor = unsafe open(path, O_WRONLY)
      defer { close(descriptor) }
      try #require(unsafe pwrite(descriptor, [0xFF as UInt8], 1, 77) == 1)
    }
  }
}
