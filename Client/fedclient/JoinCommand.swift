// Apache-2.0.
import Codecs
import CommandLineTool
import Telemetry
import Transport

let joinCommand = Command(
  "join",
  "Become a client of a server: make a key here, get its certificate.",
  operands: [Operand("TOKEN", "The word that fedserver enroll printed.")],
  options: [ClientFolder.option],
  notes: """
    The key never leaves the folder. Where the answer is lost or the machine goes down, joining again
    with the same token goes on where it stopped.
    """
) { arguments, console in
  let folder = try ClientFolder(arguments)
  try folder.create()
  let identity: ClientIdentity
  do throws(TransportError) {
    identity = try ClientIdentity.join(token: arguments.operands[0], folder: folder.path)
  } catch {
    throw CommandFailure("\(error)", code: error.exitCode)
  }
  let addresses = identity.addresses.map { "\($0)" }
  let days = identity.certificate.daysLeft
  switch console.format {
  case .json:
    console.write(
      JSONValue.object([
        .init("name", .string(identity.name)),
        .init("directory", .string(folder.path)),
        .init("server", .array(addresses.map { .string($0) })),
        .init("days", .integer(Int64(days))),
      ]).serialized()
    )
  case .text:
    console.write(
      "joined \(addresses.joined(separator: ", ")) as \(identity.name); "
        + "the certificate is valid for \(days) days and renews itself"
    )
    console.write("next: fedclient run --dir \(folder.path) --model DIR --data FILE")
  }
  return .ok
}

extension TransportError {
  /// The status a command leaves with.
  var exitCode: ExitCode {
    switch self {
    case .token, .badAddress, .name: .usage
    case .timedOut, .closed(.deadline), .closed(.silent): .timeout
    case .refused, .closed, .certificate, .tls: .connection
    case .file, .system: .failed
    }
  }
}

extension Certificate {
  /// Whole days until the certificate counts no more.
  var daysLeft: Int {
    max(0, Int((validUntil - TimeSource.wall.now).inSeconds / 86_400))
  }
}
