// Apache-2.0.
import Codecs
import WireProtocol

/// On what terms messages may come in chunks.
public struct TransferSettings: Sendable {
  /// Where blocks gather.
  public let store: PartStore
  /// The longest body in bytes of a kind that may come in chunks; nil: it may not.
  public let limit: @Sendable (UInt8, PeerIdentity) -> Int?

  /// Terms of a server or a client.
  public init(store: PartStore, limit: @escaping @Sendable (UInt8, PeerIdentity) -> Int?) {
    self.store = store
    self.limit = limit
  }
}

/// The terms with one peer.
struct TransferTerms {
  let settings: TransferSettings?
  let peer: PeerIdentity

  /// The greatest bodies of the frames about chunks that the peer may send.
  func limit(_ kind: ConnectionFrame) -> Int? {
    switch kind {
    case .request, .taken: kind.limit
    case .announce, .chunk, .withdraw: settings == nil ? nil : kind.limit
    default: nil
    }
  }
}

/// The messages of a connection that travel in chunks, both ways.
// SAFETY: touched on the thread of the connection's loop alone; what the store does elsewhere comes
// back through the loop.
final class ChunkedTransfers: @unchecked Sendable {
  private let terms: TransferTerms
  private weak var connection: Connection?
  private let loop: EventLoop
  private var sender = ChunkSender()
  private var receiver = ChunkReceiver()
  private var part: OpenPart?

  init(_ terms: TransferTerms, on connection: Connection) {
    self.terms = terms
    self.connection = connection
    loop = connection.loop
  }

  /// The connection is gone; what has come stays for the next one.
  func end() {
    connection = nil
    releasePart()
  }

  func send(_ kind: UInt8, _ pieces: [MessagePiece]) {
    guard let (announcement, withdrawn) = sender.announce(kind, pieces) else { return }
    for number in withdrawn { tell(.withdraw, number) }
    connection?.send(
      Frame(kind: ConnectionFrame.announce.rawValue, body: announcement.encoded)
    )
  }

  func withdraw(_ kind: UInt8) {
    for number in sender.withdraw(kind) { tell(.withdraw, number) }
  }

  /// A frame about chunks.
  func take(_ kind: ConnectionFrame, _ body: [UInt8]) {
    do {
      switch kind {
      case .announce:
        let announcement = try Announcement(decoding: body)
        let limit = terms.settings?.limit(announcement.kind, terms.peer)
        let actions = try receiver.announced(announcement, limit: limit)
        // Before anything is asked for: whoever has no use for it can say so at once.
        announced(announcement)
        perform(actions)
      case .chunk: perform(try receiver.chunk(body))
      case .withdraw: perform(receiver.withdrawn(try Self.number(body)))
      case .taken: sender.taken(try Self.number(body))
      case .request:
        let place = try ChunkPlace(decoding: body)
        if let bytes = try sender.chunk(place) { connection?.sendChunk(place.head, bytes) }
      default: break
      }
    } catch let violation as ChunkReceiver.Violation {
      connection?.violate(violation.text)
    } catch {
      connection?.violate("\(kind): \(error)")
    }
  }

  private func announced(_ announcement: Announcement) {
    guard let connection else { return }
    var head: [UInt8] = []
    if case .bytes(let bytes)? = announcement.pieces.first { head = bytes }
    connection.tell(.announced(connection.id, kind: announcement.kind, head: head))
  }

  private static func number(_ body: [UInt8]) throws(CodecError) -> UInt32 {
    var reader = ByteReader(body)
    let number = UInt32(try reader.readCount(limit: Int(UInt32.max), field: "number"))
    try reader.finish()
    return number
  }

  private func tell(_ kind: ConnectionFrame, _ number: UInt32) {
    var writer = ByteWriter()
    writer.writeVarint(UInt64(number))
    connection?.send(Frame(kind: kind.rawValue, body: writer.bytes))
  }

  private func perform(_ actions: [ChunkReceiver.Action]) {
    guard let store = terms.settings?.store else { return }
    let owner = PartStore.owner(terms.peer)
    for action in actions {
      switch action {
      case .request(let place):
        connection?.send(Frame(kind: ConnectionFrame.request.rawValue, body: place.encoded))
      case .take(let number): tell(.taken, number)
      case .release: releasePart()
      case .begin(let digest, let length):
        store.begin(
          owner,
          digest,
          length: length,
          then: answer(orElse: store.release) { me, part in
            me.part = part
            return me.receiver.opened(kept: part.kept)
          }
        )
      case .write(let bytes):
        guard let part else { return }
        store.append(bytes, to: part, then: answer { me, _ in me.receiver.written(bytes.count) })
      case .finish:
        guard let part else { return }
        self.part = nil
        store.finish(part, then: answer { me, _ in me.receiver.finished() })
      case .assemble(let pieces):
        store.assemble(
          pieces,
          of: owner,
          then: answer { me, body in
            let kind = me.receiver.current?.kind
            if let kind, let connection = me.connection {
              connection.tell(
                .received(connection.id, kind: kind, body: body, traffic: connection.traffic)
              )
            }
            return me.receiver.assembled()
          }
        )
      }
    }
  }

  private func releasePart() {
    if let part { terms.settings?.store.release(part) }
    part = nil
  }

  /// What to do with an answer of the store: goes on where the connection and the step are still
  /// those that asked.
  private func answer<Value: Sendable>(
    orElse drop: @escaping @Sendable (Value) -> Void = { _ in },
    _ next: @escaping @Sendable (ChunkedTransfers, Value) -> [ChunkReceiver.Action]
  ) -> @Sendable (Result<Value, TransportError>) -> Void {
    let step = receiver.step
    return { [loop] result in
      loop.submit { [self] in
        guard connection != nil, receiver.step == step else {
          if case .success(let value) = result { drop(value) }
          return
        }
        switch result {
        case .success(let value): perform(next(self, value))
        case .failure(.refused(let words)): connection?.violate(words)
        case .failure(let error): refuse(error)
        }
      }
    }
  }

  /// What is wrong with this machine's disk is not for the peer, and passes.
  private func refuse(_ error: TransportError) {
    connection?.leave(
      Goodbye(.overloaded, retryAfter: .seconds(60), "the block cannot be taken in now"),
      reason: .failed("\(error)")
    )
  }
}
