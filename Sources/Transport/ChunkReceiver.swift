// Apache-2.0.
import Codecs
import WireProtocol

/// The messages that come in chunks at one end of a connection.
///
/// A value: it touches no file.
///
///     announced ─▶ begin ─▶ opened ─▶ request … chunk ─▶ write … written ─▶ finish ─▶ finished ─┐
///                   ▲                                                                          │
///                   └──────────────── next block ◀────────────────────────────────────────────┤
///                                                            assemble ◀── no block left ◀──────┘
///
/// One block at a time is asked for, a few chunks ahead of what is written: that bounds what a sender
/// can make this end hold.
struct ChunkReceiver {
  /// What the shell has to do.
  enum Action: Equatable {
    /// Open the part of a block of the message at work and answer with `opened`.
    case begin(Digest, length: Int)
    /// Ask for a chunk.
    case request(ChunkPlace)
    /// Write bytes and answer with `written`.
    case write(ArraySlice<UInt8>)
    /// Check the part and answer with `finished`.
    case finish
    /// Let go of the part.
    case release
    /// Put the body together and answer with `assembled`.
    case assemble([Announcement.Piece])
    /// Tell the other end that the message is here.
    case take(UInt32)
  }

  /// Why what has come is not allowed.
  struct Violation: Error, Equatable {
    let text: String
  }

  /// Chunks that are asked for and not written yet, at most.
  static let window = 8
  /// Messages announced and not here yet, at most.
  static let mostWaiting = 4

  private var waiting: [Announcement] = []
  /// The piece of `waiting[0]` that is at work.
  private var piece = 0
  private var isOpen = false
  private var asked = 0
  private var received = 0
  private var written = 0
  /// Requests not answered yet, oldest first.
  private var outstanding: [ChunkPlace] = []

  /// The message at work.
  var current: Announcement? { waiting.first }

  /// The number and piece at work: answers about others are stale.
  var step: [Int]? { waiting.first.map { [Int($0.number), piece] } }

  /// A message is announced.
  mutating func announced(
    _ announcement: Announcement,
    limit: Int?
  ) throws(Violation) -> [Action] {
    guard let limit else {
      throw Violation(text: "a message of kind \(announcement.kind) does not come in chunks")
    }
    guard announcement.length <= limit else {
      throw Violation(text: "a message of \(announcement.length) bytes, at most \(limit)")
    }
    guard waiting.count < Self.mostWaiting else {
      throw Violation(text: "more than \(Self.mostWaiting) messages announced")
    }
    waiting.append(announcement)
    return waiting.count == 1 ? start() : []
  }

  /// A message will not come.
  mutating func withdrawn(_ number: UInt32) -> [Action] {
    guard let index = waiting.firstIndex(where: { $0.number == number }) else { return [] }
    waiting.remove(at: index)
    guard index == 0 else { return [] }
    // Chunks asked for have come already, or never will: frames keep their order.
    return (isOpen ? [.release] : []) + start()
  }

  /// The part of the block at work is open, with `kept` of its bytes.
  mutating func opened(kept: Int) -> [Action] {
    isOpen = true
    (asked, received, written) = (kept, kept, kept)
    return ask()
  }

  /// A chunk has come.
  mutating func chunk(_ body: [UInt8]) throws(Violation) -> [Action] {
    guard let place = outstanding.first, place.matches(body) else {
      throw Violation(text: "a chunk that was not asked for")
    }
    outstanding.removeFirst()
    received += place.count
    return [.write(body.suffix(place.count))]
  }

  /// The oldest chunk that was to be written is.
  mutating func written(_ count: Int) -> [Action] {
    written += count
    return ask()
  }

  /// The block at work is complete and right.
  mutating func finished() -> [Action] {
    isOpen = false
    piece += 1
    return proceed()
  }

  /// The message at work is put together.
  mutating func assembled() -> [Action] {
    let number = waiting.removeFirst().number
    return [.take(number)] + start()
  }

  private mutating func start() -> [Action] {
    piece = 0
    isOpen = false
    outstanding = []
    return proceed()
  }

  /// On to the next block of the message at work.
  private mutating func proceed() -> [Action] {
    guard let pieces = waiting.first?.pieces else { return [] }
    while piece < pieces.count {
      if case .blob(let digest, let length) = pieces[piece] {
        return [.begin(digest, length: length)]
      }
      piece += 1
    }
    return [.assemble(pieces)]
  }

  private mutating func ask() -> [Action] {
    guard let announcement = waiting.first, isOpen else { return [] }
    let length = announcement.pieces[piece].length
    if written == length { return [.finish] }
    var actions: [Action] = []
    while asked < length, asked - written < Self.window * ChunkPlace.longest {
      let count = min(ChunkPlace.longest, length - asked)
      let place = ChunkPlace(
        number: announcement.number,
        piece: piece,
        offset: asked,
        count: count
      )
      outstanding.append(place)
      actions.append(.request(place))
      asked += count
    }
    return actions
  }
}
