// Apache-2.0.
import Testing

@testable import Transport

@Suite struct CertificateTests {
  static let now = Duration.seconds(1_800_000_000)

  @Test func `certificates are short`() throws {
    let root = try Self.authority()
    let key = try PrivateKey.generate()
    let made = try CertificateIssuer(authority: root).issue(
      .client,
      name: "alice",
      for: key,
      from: Self.now,
      until: Self.now + .seconds(86_400)
    )
    #expect(made.der.count < 320)
    #expect(try CertificateRequest.make(for: key).count < 240)
    #expect(made.allows(.client) && !made.allows(.server) && !made.allows(.authority))
    #expect(made.validFrom == Self.now)
    #expect(made.validUntil == Self.now + .seconds(86_400))
    #expect(try Certificate(der: made.der).fingerprint == made.fingerprint)
    #expect(try Certificate(pem: made.pem()).serial == made.serial)
  }

  @Test func `what is cut, extended or changed is no certificate of the authority`() throws {
    let root = try Self.authority()
    let der = try CertificateIssuer(authority: root).issue(
      .client,
      name: "alice",
      for: try PrivateKey.generate(),
      from: Self.now,
      until: Self.now + .seconds(86_400)
    ).der
    for length in 0..<der.count {
      #expect(throws: TransportError.self) { try Certificate(der: Array(der[..<length])) }
    }
    #expect(throws: TransportError.self) { try Certificate(der: der + [0]) }
    for position in der.indices {
      var changed = der
      changed[position] ^= 0x10
      guard let read = try? Certificate(der: changed) else { continue }
      #expect(!read.isValid(under: root.certificate, at: Self.now), "byte \(position)")
    }
  }

  @Test func `a request proves that its sender has the key`() throws {
    let key = try PrivateKey.generate()
    let der = try CertificateRequest.make(for: key)
    #expect(try CertificateRequest(der: der).keyDigest == CertificateRequest(der: der).keyDigest)
    var accepted = 0
    for position in der.indices {
      var changed = der
      changed[position] ^= 0x04
      if (try? CertificateRequest(der: changed)) != nil { accepted += 1 }
    }
    #expect(accepted == 0)
    #expect(throws: TransportError.self) {
      try CertificateRequest(der: [UInt8](repeating: 0x30, count: 3000))
    }
  }

  static func authority() throws -> (certificate: Certificate, key: PrivateKey) {
    let key = try PrivateKey.generate()
    let certificate = try CertificateIssuer(authority: nil).issue(
      .authority,
      name: "samara authority",
      for: key,
      from: now,
      until: now + .seconds(20 * 365 * 86_400)
    )
    return (certificate, key)
  }
}
