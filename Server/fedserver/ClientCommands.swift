// Apache-2.0.
import Codecs
import CommandLineTool
import Coordination
import FederatedCore
import Telemetry
import Transport

let enrollCommand = Command(
  "enroll",
  "Print a one-time token with which a client joins under a name.",
  operands: [Operand("NAME", "Name of the client: letters, digits, dots, dashes, underscores.")],
  options: [
    ServerFolder.option,
    .value("address", "HOST:PORT", "Where the client finds the server; may be repeated."),
    .value("lifetime", "TIME", "How long the token is good, such as 30m or 48h (24h)."),
  ],
  notes: "The client redeems it with: fedclient join TOKEN"
) { arguments, console in
  let folder = try ServerFolder(arguments)
  let name = arguments.operands[0]
  guard ClientName.isAllowed(name) else {
    throw CommandFailure.usage("\(TransportError.name(name))")
  }
  let text = arguments.value("lifetime") ?? "24h"
  guard let lifetime = Duration(text: text), lifetime >= .seconds(1) else {
    throw CommandFailure("--lifetime \(text): expected a time such as 30m or 48h", code: .usage)
  }
  let addresses = try arguments.addresses("address")
  let answer: JSONValue
  if let client = try AdminClient(folder) {
    var request: [JSONValue.Member] = [
      .init("name", .string(name)), .init("lifetime", .integer(lifetime.components.seconds)),
    ]
    if let addresses {
      request.append(.init("addresses", .array(addresses.map { .string("\($0)") })))
    }
    answer = try client.ask("enroll", request)
  } else {
    // No server runs: its folder is free to be worked on.
    let settings = try folder.read()
    let token = try CertificateAuthority.open(in: folder.authority).issueToken(
      name: name,
      addresses: addresses ?? settings.advertise,
      lifetime: lifetime
    )
    answer = .object(token.members)
  }
  switch console.format {
  case .json: console.write(answer.serialized())
  case .text:
    let field = JSONField(answer, path: "answer")
    console.write(try field["token"].string())
    if console.isTerminal {
      let places = try field["addresses"].items().map { try $0.string() }.joined(separator: ", ")
      console.note(
        "on \(name)'s machine, once, within \(text): fedclient join TOKEN; it will connect to \(places)"
      )
    }
  }
  return .ok
}

let listCommand = Command(
  "list",
  "List the clients: enrolled, invited, expired, revoked.",
  options: [ServerFolder.option]
) { arguments, console in
  let folder = try ServerFolder(arguments)
  let answer: JSONValue
  if let client = try AdminClient(folder) {
    answer = try client.ask("list")
  } else {
    _ = try folder.read()
    let clients = try CertificateAuthority.open(in: folder.authority).list()
    answer = .object([.init("clients", .array(clients.map { $0.json(isConnected: false) }))])
  }
  guard console.format == .text else {
    console.write(answer.serialized())
    return .ok
  }
  for client in try JSONField(answer, path: "answer")["clients"].items() {
    let state = try client["connected"].bool() ? "connected" : "away"
    let expiry = try client["expires"].number() - TimeSource.wall.now.inSeconds
    console.write(
      "\(try client["name"].string())  \(try client["standing"].string())  \(state)  "
        + "valid for \(timeLeft(expiry))"
    )
  }
  return .ok
}

let revokeCommand = Command(
  "revoke",
  "Let a client's certificate count no more; its connection is closed at once.",
  operands: [Operand("NAME", "Name of the client.")],
  options: [ServerFolder.option]
) { arguments, console in
  let folder = try ServerFolder(arguments)
  let name = arguments.operands[0]
  if let client = try AdminClient(folder) {
    _ = try client.ask("revoke", [.init("name", .string(name))])
  } else {
    _ = try folder.read()
    guard try CertificateAuthority.open(in: folder.authority).revoke(name) else {
      throw CommandFailure("no client \(name) is known; see fedserver list")
    }
  }
  switch console.format {
  case .json: console.write(JSONValue.object([.init("revoked", .string(name))]).serialized())
  case .text: console.write("\(name) is revoked")
  }
  return .ok
}

/// A time to come in the largest unit that it fills.
private func timeLeft(_ seconds: Double) -> String {
  switch seconds {
  case ..<3600: "\(max(0, Int(seconds / 60))) minutes"
  case ..<172_800: "\(Int(seconds / 3600)) hours"
  default: "\(Int(seconds / 86_400)) days"
  }
}
