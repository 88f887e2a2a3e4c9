// Apache-2.0.
import Codecs
import Transport
import WireProtocol

/// A certificate as a peer shows it: what is read is written back the same.
let certificateFuzzTarget = FuzzTarget("certificate") { bytes in
  guard let certificate = try? Certificate(der: bytes) else { return }
  let again = try? Certificate(der: certificate.der)
  precondition(again?.fingerprint == certificate.fingerprint, "another certificate comes back")
  _ = certificate.name
  _ = certificate.serial
  _ = certificate.keyDigest
  _ = certificate.isValid(under: certificate, at: certificate.validFrom)
  precondition(!certificate.isValid(under: certificate, at: certificate.validUntil))
  _ = try? Certificate(pem: certificate.pem())
}

/// A token, and a line to say goodbye with: what is read is written back the same.
let tokenFuzzTarget = FuzzTarget("token") { bytes in
  let text = String(decoding: bytes, as: UTF8.self)
  if let token = try? EnrolmentToken(text) {
    precondition(token.text == text, "one token in two spellings")
  }
  // Most inputs fail the check at the end; with a right one they get further.
  if let token = try? EnrolmentToken(body: bytes) {
    precondition((try? EnrolmentToken(token.text)) == token)
  }
  if let address = try? SocketAddress(text) {
    precondition((try? SocketAddress(address.description)) == address)
  }
  if let goodbye = try? Goodbye(decoding: bytes) {
    precondition((try? Goodbye(decoding: goodbye.encoded)) == goodbye)
  }
}
