// Apache-2.0.
import Codecs
import CommandLineTool
import Transport

let initCommand = Command(
  "init",
  "Make a server's folder: certificate authority, keys, settings.",
  operands: [Operand("DIR", "The folder; the same as --dir.", isRequired: false)],
  options: [
    ServerFolder.option,
    .value("listen", "HOST:PORT", "Where to listen (0.0.0.0:7070); may be repeated."),
    .value("address", "HOST:PORT", "Where clients find the server; may be repeated."),
  ],
  notes: """
    Without --address clients are told the addresses of --listen, and 127.0.0.1 for 0.0.0.0: enough
    for one machine. Keys never leave the folder, which other users cannot read.
    """
) { arguments, console in
  let folder =
    try arguments.operands.first.map { ServerFolder(path: $0) } ?? ServerFolder(arguments)
  let listen = try arguments.addresses("listen") ?? [SocketAddress("0.0.0.0:7070")]
  let advertise =
    try arguments.addresses("address")
    ?? listen.map { address in
      ["0.0.0.0", "::"].contains(address.host)
        ? SocketAddress(host: "127.0.0.1", port: address.port) : address
    }
  try folder.create()
  let authority = try CertificateAuthority.create(in: folder.authority)
  try folder.write(.init(listen: listen, advertise: advertise))
  let fingerprint = authority.certificate.fingerprint
  switch console.format {
  case .json:
    console.write(
      JSONValue.object([
        .init("directory", .string(folder.path)),
        .init("fingerprint", .string("\(fingerprint)")),
        .init("listen", .array(listen.map { .string("\($0)") })),
        .init("advertise", .array(advertise.map { .string("\($0)") })),
      ]).serialized()
    )
  case .text:
    console.write("made \(folder.path), authority \(String("\(fingerprint)".prefix(16)))…")
    console.write("next: fedserver run --dir \(folder.path)")
    console.write("then: fedserver enroll NAME --dir \(folder.path)")
  }
  return .ok
}

extension Arguments {
  /// The addresses an option names, nil where it was not given.
  func addresses(_ option: String) throws -> [SocketAddress]? {
    let texts = allValues(option)
    guard !texts.isEmpty else { return nil }
    do {
      return try texts.map { try SocketAddress($0) }
    } catch {
      throw CommandFailure("--\(option): \(error)", code: .usage)
    }
  }
}
