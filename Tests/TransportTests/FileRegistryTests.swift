// Apache-2.0.
import TestSupport
import Testing

@testable import Transport

@Suite struct FileRegistryTests {
  let folder = TemporaryFolder()

  var path: String { "\(folder.path)/clients.log" }

  static let records: [RegistryRecord] = [
    .token(hash: "ab12", name: "alice", expiry: 1_900_000_000),
    .enrolled(
      token: "ab12",
      name: "alice",
      serial: "5f00",
      key: "cd34",
      expiry: 2_000_000_000,
      der: [0, 1, 2, 255]
    ),
    .renewed(name: "alice", serial: "5f01", key: "cd34", expiry: 2_100_000_000),
    .revoked(name: "alice"),
  ]

  func write(_ records: [RegistryRecord]) throws {
    let registry = try FileRegistry(path: path)
    for record in records { try registry.append(record) }
  }

  func read() throws -> [RegistryRecord] { try FileRegistry(path: path).records() }

  @Test func `records come back in order`() throws {
    try write(Self.records)
    #expect(try read() == Self.records)
  }

  @Test func `a line that a crash cut short at any byte is dropped, those before it stay`() throws {
    try write(Self.records)
    let whole = try #require(try DurableFile.read(path))
    let last = whole.dropLast().lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    for length in last..<whole.count {
      try DurableFile.write(Array(whole[..<length]), to: path)
      #expect(try read() == Array(Self.records.dropLast()))
      // What is appended afterwards begins a line of its own.
      try write([.revoked(name: "bob")])
      #expect(try read() == Array(Self.records.dropLast()) + [.revoked(name: "bob")])
    }
  }

  @Test func `any other damage is named, not passed over`() throws {
    try write(Self.records)
    let whole = try #require(try DurableFile.read(path))
    for position in stride(from: 0, to: whole.count - 1, by: 3) {
      var damaged = whole
      damaged[position] ^= 1
      try DurableFile.write(damaged, to: path)
      #expect(throws: TransportError.self, "byte \(position)") { try read() }
    }
  }
}
