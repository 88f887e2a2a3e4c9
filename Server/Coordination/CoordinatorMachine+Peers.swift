// Apache-2.0.
import Codecs
import RunLedger
import Telemetry
import WireProtocol

/// Connections and what they say.
extension CoordinatorMachine {
  mutating func connected(
    _ peer: PeerNumber,
    _ name: String,
    _ now: Duration,
    _ effects: inout Effects
  ) {
    if let old = peerOf[name] {
      // The client is back before its old connection was found dead.
      closed(old, now, &effects)
      effects.actions.append(.close(old))
    }
    peers[peer] = Peer(name: name)
    peerOf[name] = peer
  }

  mutating func closed(_ peer: PeerNumber, _ now: Duration, _ effects: inout Effects) {
    guard let gone = peers.removeValue(forKey: peer) else { return }
    if peerOf[gone.name] == peer { peerOf[gone.name] = nil }
    guard let active else { return }
    update(active) { $0.left(peer, gone.name, now: now, &effects) }
  }

  mutating func received(
    _ peer: PeerNumber,
    _ message: Message,
    _ now: Duration,
    _ effects: inout Effects
  ) {
    guard let sender = peers[peer] else { return }
    let name = sender.name
    if case .hello(let hello) = message {
      greet(peer, name, hello, &effects)
      return
    }
    guard sender.hasGreeted else {
      refuse(peer, "say hello first", &effects)
      return
    }
    switch message {
    case .ready(let ready):
      update(ready.run) { $0.ready(peer, name, ready.answer, now: now, &effects) }
    case .result(let result):
      let found: Void? = update(result.run) { $0.result(peer, name, result, now: now, &effects) }
      if found == nil { refuse(peer, "there is no run \(result.run)", &effects) }
    case .resend(let run): update(run) { $0.resend(name, now, &effects) }
    case .failure(let failure):
      let found: Void? = update(failure.run) {
        $0.taskFailed(name, failure.text, now: now, &effects)
      }
      if found == nil {
        effects.actions.append(.log(.warning, "client \(name): \(failure.text)"))
      }
    case .hello, .welcome, .offer, .task, .acknowledged, .runEnd, .admin, .reply:
      refuse(peer, "a client does not send \(message.kind)", &effects)
    }
  }

  /// A long result is on its way: whose task does not count any more is told so before it travels.
  private func isOfUse(_ name: String, _ run: UInt32, _ round: UInt32) -> Bool {
    // Of a run that there is not the message itself is refused.
    runs[run]?.awaits(name, round) ?? true
  }

  mutating func announced(
    _ peer: PeerNumber,
    _ run: UInt32,
    _ round: UInt32,
    _ effects: inout Effects
  ) {
    guard let sender = peers[peer], sender.hasGreeted, !isOfUse(sender.name, run, round) else {
      return
    }
    effects.actions.append(
      .log(
        .info,
        "result of \(sender.name) for round \(UInt64(round) + 1) is late and not taken in"
      )
    )
    effects.send(peer, .acknowledged(run: run, round: round))
  }

  /// Offers a run to every client that has said hello.
  func offerToAll(_ run: UInt32, _ effects: inout Effects) {
    let greeted = peers.filter { $0.value.hasGreeted }.keys.sorted()
    guard let offer = offer(of: run) else { return }
    effects.steps.append(.act(.broadcast(greeted, offer)))
  }

  private mutating func greet(
    _ peer: PeerNumber,
    _ name: String,
    _ hello: ClientHello,
    _ effects: inout Effects
  ) {
    guard hello.version == Message.version else {
      refuse(
        peer,
        "you speak version \(hello.version) of the protocol, the server \(Message.version): "
          + "use programs of one release",
        &effects
      )
      return
    }
    peers[peer]?.hasGreeted = true
    effects.send(peer, .welcome(Welcome(software: software)))
    if let end = runs[hello.run]?.outcome { effects.send(peer, .runEnd(end)) }
    if let active, let offer = offer(of: active) { effects.send(peer, offer) }
  }

  private func offer(of id: UInt32) -> Message? {
    guard let run = runs[id], run.phase == .gathering || run.phase == .training else { return nil }
    return .offer(RunOffer(run: id, configuration: run.encodedConfiguration))
  }

  private func refuse(_ peer: PeerNumber, _ text: String, _ effects: inout Effects) {
    let name = peers[peer]?.name ?? "?"
    effects.actions.append(.log(.warning, "client \(name) is sent away: \(text)"))
    effects.send(peer, .failure(Failure(run: 0, text: text)))
    effects.steps.append(.act(.close(peer)))
  }
}
