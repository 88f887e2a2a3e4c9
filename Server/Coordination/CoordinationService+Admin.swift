// Apache-2.0.
public import Codecs
import FederatedCore
public import Transport
import WireProtocol

/// Requests of the administration tool: JSON objects with a `command`; each is answered by lines, the
/// last of which has `"done": true`, or `"error"` with what was wrong.
extension CoordinationService {
  func administer(_ peer: PeerID, _ request: JSONValue) {
    let field = JSONField(request, path: "request")
    do {
      switch try field["command"].string() {
      case "submit": try submit(peer, field)
      case "status": status(peer)
      case "watch": try watch(peer, field)
      case "stop":
        let run = UInt32(try field["run"].integer(in: 1...Int(UInt32.max)))
        tell(.stop(ticket: ticket(peer), run: run))
      case "export": try export(peer, field)
      case "enroll": try enroll(peer, field)
      case "list": list(peer)
      case "revoke": try revoke(peer, field)
      case let name: refuse(peer, "there is no command \(name)")
      }
    } catch {
      refuse(peer, "\(error)")
    }
  }

  /// Answers whoever holds a ticket.
  func answer(_ ticket: UInt64, _ result: Result<UInt32, PreparationFailure>) {
    guard let peer = state.tickets.removeValue(forKey: ticket) else { return }
    switch result {
    case .success(let run): finish(peer, [.init("run", .integer(Int64(run)))])
    case .failure(let failure): refuse(peer, failure.description)
    }
  }

  /// Tells who watches a run; the last line ends the watch of that run.
  func tellWatchers(of run: UInt32, _ json: JSONValue, isLast: Bool) {
    for watcher in state.watchers where watcher.run ?? run == run {
      if isLast, watcher.run == run {
        finish(watcher.peer, [.init("end", json)])
      } else {
        send(.reply(.object([.init(isLast ? "end" : "round", json)])), to: watcher.peer)
      }
    }
    if isLast { state.watchers.removeAll { $0.run == run } }
  }

  private func ticket(_ peer: PeerID) -> UInt64 {
    state.lastTicket += 1
    state.tickets[state.lastTicket] = peer
    return state.lastTicket
  }

  private func finish(_ peer: PeerID, _ members: [JSONValue.Member]) {
    send(.reply(.object(members + [.init("done", .bool(true))])), to: peer)
  }

  private func refuse(_ peer: PeerID, _ text: String) {
    send(.reply(.object([.init("error", .string(text))])), to: peer)
  }

  private func submit(_ peer: PeerID, _ field: JSONField) throws {
    guard let json = field["configuration"].value else {
      throw PreparationFailure("submit needs a configuration")
    }
    tell(.submit(ticket: ticket(peer), try RunConfiguration(json)))
  }

  private func status(_ peer: PeerID) {
    let runs = state.machine.runNumbers.compactMap { state.machine.view(of: $0)?.json }
    finish(
      peer,
      [
        .init("clients", .array(state.machine.connectedClients.map { .string($0) })),
        .init("runs", .array(runs)),
      ]
    )
  }

  private func watch(_ peer: PeerID, _ field: JSONField) throws {
    guard field["run"].isPresent else {
      state.watchers.append(Watcher(peer: peer, run: nil))
      return
    }
    let run = UInt32(try field["run"].integer(in: 1...Int(UInt32.max)))
    guard let view = state.machine.view(of: run) else {
      throw PreparationFailure("there is no run \(run)")
    }
    if view.isOver {
      finish(peer, [.init("end", view.json)])
    } else {
      send(.reply(.object([.init("status", view.json)])), to: peer)
      state.watchers.append(Watcher(peer: peer, run: run))
    }
  }

  private func export(_ peer: PeerID, _ field: JSONField) throws {
    let directory = try field["directory"].string()
    let number =
      field["run"].isPresent
      ? UInt32(try field["run"].integer(in: 1...Int(UInt32.max))) : state.machine.runNumbers.last
    guard let number, let view = state.machine.view(of: number) else {
      throw PreparationFailure("there is no such run")
    }
    guard let base = view.base, let digest = view.digest else {
      throw PreparationFailure("run \(number) has not begun")
    }
    models.export(view.configuration, base: base, try view.updates(), to: directory) { result in
      self.loop.submit {
        switch result {
        case .failure(let failure): self.refuse(peer, failure.description)
        case .success(let path):
          self.finish(
            peer,
            [
              .init("run", .integer(Int64(number))),
              .init("round", .integer(Int64(view.round))),
              .init("digest", .string(digest.description)),
              .init("directory", .string(path)),
            ]
          )
        }
      }
    }
  }

  private func enroll(_ peer: PeerID, _ field: JSONField) throws {
    let name = try field["name"].string()
    let seconds = try field["lifetime"].integer(in: 1...(365 * 86_400))
    let addresses = try EnrolmentAddresses.read(field["addresses"]) ?? advertised
    onDisk(peer) { [authority] in
      try authority.issueToken(name: name, addresses: addresses, lifetime: .seconds(seconds))
        .members
    }
  }

  /// Answers with what `work` comes to on the thread that waits for the disk.
  private func onDisk(
    _ peer: PeerID,
    _ work: @escaping @Sendable () throws -> [JSONValue.Member]
  ) {
    disk.submit {
      let result = Result { try work() }
      self.loop.submit {
        switch result {
        case .success(let members): self.finish(peer, members)
        case .failure(let error): self.refuse(peer, "\(error)")
        }
      }
    }
  }

  private func list(_ peer: PeerID) {
    let connected = Set(state.machine.connectedClients)
    finish(
      peer,
      [
        .init(
          "clients",
          .array(authority.list().map { $0.json(isConnected: connected.contains($0.name)) })
        )
      ]
    )
  }

  private func revoke(_ peer: PeerID, _ field: JSONField) throws {
    let name = try field["name"].string()
    let server = state.server
    onDisk(peer) {
      guard try server?.revoke(name) ?? false else {
        throw PreparationFailure("no client \(name) is known; see fedserver list")
      }
      return [.init("revoked", .string(name))]
    }
  }
}

/// Addresses of an enrolment as a request gives them.
enum EnrolmentAddresses {
  static func read(_ field: JSONField) throws -> [SocketAddress]? {
    guard field.isPresent else { return nil }
    return try field.items().map { try SocketAddress(try $0.string()) }
  }
}

extension EnrolmentToken {
  /// What people need of a token.
  public var members: [JSONValue.Member] {
    [
      .init("name", .string(name)),
      .init("token", .string(text)),
      .init("expires", .integer(expiry.components.seconds)),
      .init("addresses", .array(addresses.map { .string("\($0)") })),
    ]
  }
}

extension EnrolledClient {
  /// A client as `list` shows it.
  public func json(isConnected: Bool) -> JSONValue {
    .object([
      .init("name", .string(name)),
      .init("standing", .string(standing.rawValue)),
      .init("connected", .bool(isConnected)),
      .init("expires", .integer(expiry.components.seconds)),
    ])
  }
}
