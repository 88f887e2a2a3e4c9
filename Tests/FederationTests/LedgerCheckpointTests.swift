// Apache-2.0.
import Codecs
import Glibc
import RunLedger
import TestSupport
import Testing

@Suite struct LedgerCheckpointTests {
  static func payload(_ seed: Int, bytes: Int = 70_000) -> [UInt8] {
    (0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ seed &* 31 >> 2) }
  }

  static func name(_ bytes: [UInt8]) -> String { Digest.sha256(of: bytes).description }

  static func contribution(
    _ round: UInt32,
    _ client: UInt32,
    _ payload: [UInt8],
    run: UInt32 = 1
  ) -> LedgerRecord {
    .contribution(run: run, round: round, client: client, loss: 1, payload: payload)
  }

  static func checkpoint(
    _ round: UInt32,
    pending: [LedgerRecord.TaskName] = [],
    state: [UInt8]
  ) -> LedgerRecord {
    .checkpoint(run: 1, round: round, pending: pending, state: state)
  }

  /// Names of the files in a folder.
  static func files(_ folder: String) -> Set<String> {
    guard let directory = unsafe opendir(folder) else { return [] }
    defer { unsafe closedir(directory) }
    var names: Set<String> = []
    while let entry = unsafe readdir(directory) {
      // SAFETY: the name ends with a zero within its field; copied before the next call.
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.insert(name) }
    }
    return names
  }

  @Test func `a checkpoint replaces what led to it, but for what is pending`() throws {
    let folder = TemporaryFolder()
    let (path, blobs) = ("\(folder.path)/ledger", "\(folder.path)/blobs")
    let payloads = (0..<5).map { Self.payload($0) }
    let states = (10..<12).map { Self.payload($0, bytes: 90_000) }
    let names = payloads.map(Self.name)
    let ledger = try Ledger(path: path, blobs: blobs)
    try ledger.commit([
      Self.contribution(0, 1, payloads[0]), Self.contribution(0, 2, payloads[1]),
      Self.contribution(0, 3, [9]),
    ])
    try ledger.commit([
      Self.checkpoint(1, pending: [.init(client: 2, base: 0)], state: states[0]),
      Self.contribution(1, 1, payloads[2]),
    ])
    // Until somebody has the time, and whoever reads, everything is there.
    #expect(Self.files(blobs) == Set(names[0...2] + [Self.name(states[0])]))
    ledger.removeNeedless()
    #expect(Self.files(blobs) == Set(names[1...2] + [Self.name(states[0])]))
    #expect(try ledger.checkpointedVersion(of: 1) == 1)
    let records = [
      Self.contribution(0, 1, []), Self.contribution(0, 2, payloads[1]),
      Self.contribution(0, 3, [9]),
      Self.checkpoint(1, pending: [.init(client: 2, base: 0)], state: states[0]),
      Self.contribution(1, 1, payloads[2]),
    ]
    #expect(try ledger.records(of: 1) == records)
    // The next checkpoint replaces the first one as well.
    try ledger.commit([Self.checkpoint(2, state: states[1]), Self.contribution(2, 1, payloads[3])])
    ledger.removeNeedless()
    #expect(Self.files(blobs) == [names[3], Self.name(states[1])])
    #expect(
      try ledger.records(of: 1) == [
        Self.contribution(0, 1, []), Self.contribution(0, 2, []), Self.contribution(0, 3, [9]),
        Self.contribution(1, 1, []), Self.checkpoint(2, state: states[1]),
        Self.contribution(2, 1, payloads[3]),
      ]
    )
    var sizes: [Int] = []
    try ledger.forEachEntry(of: 1) { sizes.append($0.payloadBytes) }
    #expect(sizes == [70_000, 70_000, 1, 90_000, 70_000, 90_000, 70_000])
  }

  @Test func `a file that several rows refer to goes with the last of them`() throws {
    let folder = TemporaryFolder()
    let (path, blobs) = ("\(folder.path)/ledger", "\(folder.path)/blobs")
    let (same, state) = (Self.payload(0), [UInt8](repeating: 1, count: 10))
    let ledger = try Ledger(path: path, blobs: blobs)
    try ledger.commit([
      Self.contribution(0, 1, same), Self.contribution(0, 2, same),
      Self.contribution(0, 1, same, run: 2),
    ])
    try ledger.commit([Self.checkpoint(1, state: state)])
    ledger.removeNeedless()
    #expect(Self.files(blobs) == [Self.name(same)])
    try ledger.commit([
      .checkpoint(run: 2, round: 1, pending: [], state: state), Self.contribution(1, 1, same),
    ])
    // Needless for a moment, and needed again before anybody removed it.
    ledger.removeNeedless()
    #expect(Self.files(blobs) == [Self.name(same)])
    // The same row again brings the file and takes it away again; nothing is counted twice.
    #expect(try ledger.commit([Self.contribution(0, 1, same)]) == [false])
    try ledger.commit([Self.checkpoint(2, state: state)])
    ledger.removeNeedless()
    #expect(Self.files(blobs) == [])
  }

  /// Steps: files of the commit written (strays without a row), the commit, each file removed.
  @Test
  func `a death between any two steps loses no file that is needed and leaves none that is not`()
    throws
  {
    let payloads = (0..<4).map { Self.payload($0) }
    let state = Self.payload(10, bytes: 90_000)
    let needed = Set([Self.name(payloads[3]), Self.name(state)])
    for step in 0..<7 {
      let folder = TemporaryFolder()
      let (path, blobs) = ("\(folder.path)/ledger", "\(folder.path)/blobs")
      var expected: [LedgerRecord] = []
      do {
        let ledger = try Ledger(path: path, blobs: blobs)
        expected = payloads.enumerated().map { Self.contribution(0, UInt32($0), $1) }
        try ledger.commit(expected)
        if step == 0 {
          try LedgerFile.write(Array(state.prefix(100)), to: "\(blobs)/\(Self.name(state)).new")
        } else if step == 1 {
          try LedgerFile.write(state, to: "\(blobs)/\(Self.name(state))")
        } else {
          try ledger.commit([
            Self.checkpoint(1, pending: [.init(client: 3, base: 0)], state: state)
          ])
          if step == 6 { ledger.removeNeedless() }
          for index in 0..<max(0, step - 3) where step < 6 {
            try LedgerFile.damage("\(blobs)/\(Self.name(payloads[index]))", removes: true)
          }
          for index in 0..<3 { expected[index] = Self.contribution(0, UInt32(index), []) }
          expected.append(Self.checkpoint(1, pending: [.init(client: 3, base: 0)], state: state))
        }
      }
      let ledger = try Ledger(path: path, blobs: blobs)
      #expect(try ledger.records(of: 1) == expected, "step \(step)")
      #expect(Self.files(blobs) == (step < 2 ? Set(payloads.map(Self.name)) : needed), "\(step)")
    }
  }
}
