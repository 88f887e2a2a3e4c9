// Apache-2.0.
import Codecs
import ModelFiles
import Participation
import Telemetry
import TestSupport
import Testing
import WireProtocol

@Suite struct VersionStoreTests {
  static let version = KeptVersion(
    run: 3,
    configuration: .sha256(of: [1]),
    version: 12,
    snapshot: Array(0..<200),
    result: TaskResult(
      run: 3,
      round: 12,
      digest: DigestPrefix(.sha256(of: [2])),
      meanLoss: .nan,
      skippedSteps: 4,
      clippedSteps: 0,
      payload: [0x80, 0x80, 0x80, 0x80]
    )
  )

  @Test func `what was kept is read as it was written`() throws {
    let folder = TemporaryFolder()
    let store = VersionStore(path: "\(folder.path)/version", log: .silent)
    #expect(store.load() == nil)
    for result in [Self.version.result, nil] {
      let version = KeptVersion(
        run: 3,
        configuration: .sha256(of: [1]),
        version: 12,
        snapshot: [9],
        result: result
      )
      store.save(version)
      #expect(store.load() == version)
    }
    store.clear()
    #expect(store.load() == nil)
  }

  @Test func `a file cut short or damaged anywhere is dropped with a word`() throws {
    let folder = TemporaryFolder()
    let lines = Lines()
    let path = "\(folder.path)/version"
    let store = VersionStore(path: path, log: Log { lines.add($0) })
    store.save(Self.version)
    let whole = try ModelFolder.bytes(path, limit: 1 << 20)
    for count in whole.indices {
      _ = folder.write("version", bytes: Array(whole[..<count]))
      #expect(store.load() == nil)
      var damaged = whole
      damaged[count] ^= 0x10
      _ = folder.write("version", bytes: damaged)
      #expect(store.load() == nil)
    }
    #expect(lines.contains("is dropped"))
    _ = folder.write("version", bytes: whole)
    #expect(store.load() == Self.version)
  }

  @Test func `a great state is written as seldom as it is great`() throws {
    let folder = TemporaryFolder()
    let store = VersionStore(path: "\(folder.path)/version", log: .silent)
    func version(_ number: UInt32, bytes: Int) -> KeptVersion {
      KeptVersion(
        run: 1,
        configuration: .sha256(of: [1]),
        version: number,
        snapshot: [UInt8](repeating: 7, count: bytes),
        result: nil
      )
    }
    var written: [UInt32] = []
    var made = 0
    func great(_ number: UInt32) -> KeptVersion {
      made += 1
      return version(number, bytes: 3 * VersionStore.allowance)
    }
    for number in 0..<9 as Range<UInt32> {
      store.save(great(number))
      if store.load()?.version == number { written.append(number) }
    }
    #expect(written == [0, 4, 8])
    // What is not written is not even made.
    #expect(made == 3)
    store.clear()
    for number in 0..<3 as Range<UInt32> {
      store.save(version(number, bytes: 1000))
      #expect(store.load()?.version == number)
    }
  }

  @Test func `a folder that cannot be written to costs a word, not the client`() {
    let lines = Lines()
    let store = VersionStore(path: "/proc/nowhere/version", log: Log { lines.add($0) })
    store.save(Self.version)
    #expect(lines.contains("is not kept"))
  }
}
