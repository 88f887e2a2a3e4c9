// Apache-2.0.
import Codecs
import Glibc
import WireProtocol

/// One connection, which moves bytes as its machine says.
///
/// It lives on the thread of its loop.
final class Connection: LoopHandler {
  let id: PeerID
  let loop: EventLoop
  let address: String
  private(set) var identity = PeerIdentity.stranger
  /// What the other end showed, or has got since; nil before TLS is set up and for those who have none.
  private(set) var certificate: Certificate?
  private weak var owner: (any ConnectionOwner)?
  private var socket: DescriptorBox?
  private let number: Int32
  private var channel: Channel
  private var machine: ConnectionMachine
  private var decoder = FrameDecoder { _ in nil }
  private var queue = OutgoingQueue()
  /// Bytes taken from the queue that TLS has not accepted yet; TLS wants the same ones again.
  private var staged: ArraySlice<UInt8> = []
  private var token: UInt64 = 0
  private var interest: Interest = []
  private var armed: Duration?
  private var willSettle = false
  private var isTold = false
  private var hasSaidEnd = false
  private var leaveReason = CloseReason.local
  /// The kernel has taken no more bytes; once it does, the peer has taken some.
  private var isBlocked = false
  /// Kinds that the owner has answered, a bit each.
  private var answered: UInt32 = 0
  /// What the owner knows to have moved.
  private var told = Traffic()
  private var transfers: ChunkedTransfers?
  private var lastTraffic = Traffic()

  init(
    _ id: PeerID,
    socket: consuming Descriptor,
    channel: Channel,
    address: String,
    limits: ConnectionLimits,
    loop: EventLoop,
    owner: any ConnectionOwner
  ) {
    self.id = id
    self.loop = loop
    self.address = address
    number = socket.number
    self.socket = DescriptorBox(socket)
    self.channel = channel
    self.owner = owner
    var isClient = false
    if case .connecting = channel { isClient = true }
    machine = ConnectionMachine(limits: limits, pings: isClient, now: loop.now)
  }

  /// Begins to listen to the socket.
  func start() {
    var first: Interest = [.read]
    if case .connecting = channel { first = [.write] }
    if case .listening = channel { socket?.descriptor.set(SOL_SOCKET, SO_RCVLOWAT, 9) }
    do throws(TransportError) {
      token = try loop.watch(number, first, self)
      interest = first
      arm()
      if case .plain = channel { establish(nil) }
    } catch {
      end(.failed("\(error)"))
    }
  }

  /// Bytes on the wire so far.
  var traffic: Traffic {
    if case .none = channel { lastTraffic } else { channel.traffic }
  }

  /// Whether the peer is recognised and neither end has said goodbye.
  var isOpen: Bool { machine.phase == .open }

  /// Whether the socket is the administration's.
  var isPlain: Bool { if case .plain = channel { true } else { false } }

  /// Notes that a kind is answered.
  ///
  /// - Returns: whether it is the first time: asking is cheaper than answering.
  func answersFirst(_ kind: ConnectionFrame) -> Bool {
    let bit = UInt32(1) << UInt32(kind.rawValue)
    defer { answered |= bit }
    return answered & bit == 0
  }

  /// Takes note of the certificate that the other end has got in place of the one it showed.
  func renewed(_ certificate: Certificate) { self.certificate = certificate }

  /// Queues a frame; it goes out once everything at hand is done.
  func send(_ frame: Frame) {
    guard machine.phase == .open || machine.phase == .enrolling else { return }
    queue.append(frame)
    queued()
  }

  /// Queues a chunk, whose bytes are not copied.
  func sendChunk(_ head: [UInt8], _ bytes: ArraySlice<UInt8>) {
    guard machine.phase == .open else { return }
    queue.append(kind: ConnectionFrame.chunk.rawValue, head: head, tail: bytes)
    queued()
  }

  /// Sends a message as chunks that the other end asks for.
  func send(_ kind: UInt8, _ pieces: [MessagePiece]) {
    if machine.phase == .open { transfers?.send(kind, pieces) }
  }

  /// Takes back the messages of a kind that are not through yet.
  func withdraw(_ kind: UInt8) { transfers?.withdraw(kind) }

  private func queued() {
    let bytes = queue.bytes + staged.count
    if machine.isOverfull(bytes) { return end(.congested(queuedBytes: bytes)) }
    tellCongestion()
    settleSoon()
  }

  /// Says goodbye and closes once that has been sent.
  func leave(_ goodbye: Goodbye, reason: CloseReason = .local) {
    switch machine.phase {
    case .handshaking: return end(reason)
    case .leaving, .closed: return
    case .enrolling, .open: break
    }
    queue.append(Frame(kind: ConnectionFrame.goodbye.rawValue, body: goodbye.encoded))
    leaveReason = reason
    machine.leave(loop.now)
    arm()
    settleSoon()
  }

  /// Closes at once.
  func end(_ reason: CloseReason) {
    guard machine.phase != .closed else { return }
    machine.end()
    if case .secure(let session) = channel, !hasSaidEnd { session.sayEnd() }
    lastTraffic = channel.traffic
    tellMoved()
    channel = .none
    loop.forget(number, token)
    socket = nil
    decoder = FrameDecoder { _ in nil }
    queue = OutgoingQueue()
    staged = []
    transfers?.end()
    transfers = nil
    if isTold { owner?.tell(self, .closed(id, reason, traffic: lastTraffic)) }
    owner?.ended(self, reason)
  }

  func ready(_ interest: Interest) {
    switch channel {
    case .connecting(let context): finishConnecting(context)
    case .listening(let context): judgeHello(context)
    case .secure, .plain:
      if machine.phase == .handshaking { return shakeHands() }
      if interest.contains(.write) { flush() }
      if interest.contains(.read) { drain() }
    case .none: break
    }
  }

  func timeReached(_ now: Duration) {
    // An earlier time may have been asked for since: then this one is stale.
    if let armed, armed <= now { self.armed = nil }
    if case .listening(let context) = channel { judgeHello(context) }
    switch machine.check(now) {
    case .ping: send(Frame(kind: ConnectionFrame.ping.rawValue, body: []))
    case .close(let reason): end(machine.phase == .leaving ? leaveReason : reason)
    case nil: break
    }
    arm()
  }

  func settle() {
    willSettle = false
    flush()
  }

  // MARK: Setting up

  private func finishConnecting(_ context: TLSContext?) {
    let code = socket?.descriptor.pendingError ?? 0
    guard code == 0 else { return end(.failed("connect to \(address): \(systemErrorText(code))")) }
    guard let context else {
      channel = .plain(Traffic())
      return establish(nil)
    }
    socket?.descriptor.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    secure(context)
  }

  private func judgeHello(_ context: TLSContext) {
    switch Channel.judgeHello(number) {
    case true?:
      socket?.descriptor.set(SOL_SOCKET, SO_RCVLOWAT, 1)
      socket?.descriptor.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
      secure(context)
    case false?: end(.protocolViolation("not a TLS 1.3 client of this protocol"))
    case nil:
      // Some kernels wake for fewer bytes than asked: look again in a while, rather than all the time.
      want([])
      let again = loop.now + .milliseconds(50)
      if armed.map({ $0 > again }) ?? true {
        armed = again
        loop.wait(until: again, token)
      }
    }
  }

  private func secure(_ context: TLSContext) {
    do throws(TransportError) {
      channel = .secure(try TLSSession(context, socket: number))
      shakeHands()
    } catch {
      end(.failed("\(error)"))
    }
  }

  private func shakeHands() {
    guard case .secure(let session) = channel else { return }
    switch session.handshake() {
    case .moved: establish(session.peerCertificate)
    case .wantsRead: want([.read])
    case .wantsWrite: want([.write])
    case .ended: end(.byPeer)
    case .failed(let words): end(.failed(words))
    }
  }

  private func establish(_ certificate: Certificate?) {
    self.certificate = certificate
    switch owner?.recognise(self, certificate) {
    case .known(let identity, let limit, let terms)?:
      self.identity = identity
      transfers = terms.map { ChunkedTransfers($0, on: self) }
      decoder.limit = limit
      machine.established(recognised: identity != .stranger, now: loop.now)
      want([.read])
      arm()
      if identity != .stranger {
        isTold = true
        owner?.tell(self, .connected(id, identity, address: address))
      }
      drain()
    case .refused(let goodbye)?:
      machine.established(recognised: false, now: loop.now)
      leave(goodbye, reason: .failed(goodbye.text))
    case nil: end(.local)
    }
  }

  // MARK: Moving bytes

  /// Reads what is there, within bounds: other connections want their turn.
  private func drain() {
    defer { tellMoved() }
    for _ in 0..<8 {
      guard machine.phase != .closed else { return }
      let (result, frames) = loop.withScratch { buffer in
        let result = channel.read(number, into: &buffer)
        guard case .moved(let count) = result, machine.phase != .leaving else {
          return (result, Result<[Frame], FrameError>.success([]))
        }
        return (result, Result { () throws(FrameError) in try decoder.feed(buffer[..<count]) })
      }
      switch result {
      case .moved: machine.heard(loop.now)
      case .wantsRead: return
      case .wantsWrite: return want([.read, .write])
      case .ended: return end(machine.phase == .leaving ? leaveReason : .byPeer)
      case .failed(let words):
        return end(machine.phase == .leaving ? leaveReason : .failed(words))
      }
      switch frames {
      case .success(let frames): for frame in frames { take(frame) }
      case .failure(let error): return violate("\(error)")
      }
    }
    // More may wait inside the kernel: the loop will say so.
  }

  private func take(_ frame: Frame) {
    guard machine.phase == .open || machine.phase == .enrolling else { return }
    guard let known = ConnectionFrame(rawValue: frame.kind) else {
      do throws(CompressionError) {
        let limit = decoder.limit(frame.kind) ?? 0
        let body = try frame.content(limit: limit)
        owner?.tell(self, .received(id, kind: frame.kind, body: body, traffic: traffic))
      } catch {
        violate("\(error)")
      }
      return
    }
    guard !frame.isCompressed else { return violate("a compressed \(known) frame") }
    switch known {
    case .ping:
      // Whatever waits to be sent is as good an answer, and many pings make no long queue.
      guard queue.isEmpty, staged.isEmpty else { break }
      send(Frame(kind: ConnectionFrame.pong.rawValue, body: []))
    case .pong: break
    case .goodbye:
      do throws(CodecError) {
        end(.goodbye(try Goodbye(decoding: frame.body)))
      } catch {
        violate("goodbye: \(error)")
      }
    case .question, .authority, .enrol, .renew, .granted: owner?.control(self, known, frame.body)
    case .announce, .request, .chunk, .taken, .withdraw: transfers?.take(known, frame.body)
    }
  }

  /// Something about a message in chunks.
  func tell(_ event: TransportEvent) {
    guard machine.phase == .open else { return }
    owner?.tell(self, event)
  }

  func violate(_ what: String) {
    leave(Goodbye(.violation, what), reason: .protocolViolation(what))
  }

  private func flush() {
    defer { tellMoved() }
    while machine.phase != .closed {
      if staged.isEmpty { staged = queue.take(16 << 10)[...] }
      if staged.isEmpty { break }
      switch channel.write(number, staged) {
      case .moved(let count):
        staged = staged.dropFirst(count)
        if staged.isEmpty { staged = [] }
        machine.said(loop.now, madeRoom: isBlocked)
        isBlocked = false
      case .wantsWrite:
        isBlocked = true
        return want([.read, .write])
      case .wantsRead: return want([.read])
      case .ended: return end(machine.phase == .leaving ? leaveReason : .byPeer)
      case .failed(let words): return end(.failed(words))
      }
      tellCongestion()
    }
    guard machine.phase != .closed, machine.phase != .handshaking else { return }
    want([.read])
    if machine.phase == .leaving, !hasSaidEnd { sayEnd() }
  }

  /// Last words are out: the other end reads them, then closes; closing first might take them back.
  private func sayEnd() {
    hasSaidEnd = true
    if case .secure(let session) = channel { session.sayEnd() }
    _ = shutdown(number, Int32(SHUT_WR))
  }

  private func tellCongestion() {
    let bytes = queue.bytes + staged.count
    guard isTold, let isCongested = machine.queued(bytes) else { return }
    owner?.tell(self, .backpressure(id, isCongested: isCongested, queuedBytes: bytes))
  }

  /// Counts what has moved since the last time.
  private func tellMoved() {
    let now = traffic
    guard now != told else { return }
    owner?.moved(
      Traffic(received: now.received - told.received, sent: now.sent - told.sent)
    )
    told = now
  }

  private func settleSoon() {
    guard !willSettle else { return }
    willSettle = true
    loop.settleLater(self)
  }

  private func want(_ wanted: Interest) {
    guard wanted != interest, machine.phase != .closed else { return }
    interest = wanted
    loop.change(number, token, wanted)
  }

  /// Asks for the machine's next time, unless an earlier one is asked for already.
  private func arm() {
    guard let deadline = machine.deadline, armed.map({ deadline < $0 }) ?? true else { return }
    armed = deadline
    loop.wait(until: deadline, token)
  }
}
