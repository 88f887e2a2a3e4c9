// Apache-2.0.
import Codecs
import Telemetry
import Transport
import WireProtocol

/// Connections of clients and of the administration tool.
extension CoordinationService {
  func handle(_ event: TransportEvent) {
    switch event {
    case .connected(let peer, .client(let name, _), let address):
      state.lastNumber += 1
      state.numbers[peer] = state.lastNumber
      state.peers[state.lastNumber] = peer
      state.names[peer] = name
      log.info("client \(name) connected from \(address)")
      tell(.connected(state.lastNumber, name: name))
    case .connected: break
    case .received(let peer, let kind, let body, let traffic):
      received(peer, kind, body, traffic)
    case .announced(let peer, let kind, let head):
      if kind == Message.Kind.result.rawValue, let number = state.numbers[peer],
        let (run, round) = TaskResult.task(ofHead: head)
      {
        tell(.announced(number, run: run, round: round))
      }
    case .backpressure(let peer, let isCongested, let bytes):
      if isCongested { log.warning("\(bytes) bytes wait for client \(state.names[peer] ?? "?")") }
    case .closed(let peer, let reason, let traffic): closed(peer, reason, traffic)
    }
  }

  private func received(_ peer: PeerID, _ kind: UInt8, _ body: [UInt8], _ traffic: Traffic) {
    let message: Message
    do throws(CodecError) {
      message = try Message(kind: kind, body: body)
    } catch {
      log.warning("\(state.names[peer] ?? "\(peer)") sent what is no message: \(error)")
      state.server?.close(peer, Goodbye(.violation, "message of kind \(kind): \(error)"))
      return
    }
    if case .admin(let request) = message {
      administer(peer, request)
    } else if let number = state.numbers[peer], let name = state.names[peer] {
      state.traffic.note(name, traffic)
      tell(.received(number, message))
    }
  }

  private func closed(_ peer: PeerID, _ reason: CloseReason, _ traffic: Traffic) {
    state.watchers.removeAll { $0.peer == peer }
    guard let number = state.numbers.removeValue(forKey: peer) else { return }
    state.peers[number] = nil
    if let name = state.names.removeValue(forKey: peer) {
      state.traffic.close(name, traffic)
      log.info("client \(name) disconnected: \(reason)")
    }
    tell(.closed(number))
  }
}

/// Bytes on the wire by client, through reconnections, and what a round cost of them.
struct TrafficMeter {
  private struct Entry {
    /// Bytes of connections that have ended.
    var past = Traffic()
    /// Bytes of the connection at present.
    var live = Traffic()
    /// Total when the last round that the client took part in was reported.
    var reported = Traffic()

    var total: Traffic {
      Traffic(received: past.received + live.received, sent: past.sent + live.sent)
    }
  }

  private var entries: [String: Entry] = [:]

  /// Notes what the connection of a client has come to.
  mutating func note(_ name: String, _ traffic: Traffic) {
    entries[name, default: Entry()].live = traffic
  }

  /// The connection of a client has ended.
  mutating func close(_ name: String, _ traffic: Traffic) {
    var entry = entries[name, default: Entry()]
    entry.past.received += traffic.received
    entry.past.sent += traffic.sent
    entry.live = Traffic()
    entries[name] = entry
  }

  /// Mean bytes of the clients of a round since each was last asked about.
  mutating func ofRound(_ names: [String]) -> RoundReport.Traffic? {
    guard !names.isEmpty else { return nil }
    var (up, down) = (0.0, 0.0)
    for name in names {
      guard let entry = entries[name] else { continue }
      let total = entry.total
      up += Double(total.received - entry.reported.received)
      down += Double(total.sent - entry.reported.sent)
      entries[name]?.reported = total
    }
    return RoundReport.Traffic(up: up / Double(names.count), down: down / Double(names.count))
  }
}
