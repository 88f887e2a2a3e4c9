// Apache-2.0.
import Codecs
import WireProtocol

/// The messages that one end of a connection sends in chunks.
///
/// Each is announced once and sent as it is asked for. A value: it touches no socket.
struct ChunkSender {
  private struct Message {
    let announcement: Announcement
    /// The blob behind each piece that is one.
    let blobs: [Int: Blob]
  }

  private var messages: [UInt32: Message] = [:]
  private var lastNumber: UInt32 = 0

  /// Whether nothing waits to be asked for.
  var isEmpty: Bool { messages.isEmpty }

  /// Takes in a message in place of an earlier one of its kind.
  ///
  /// - Returns: its announcement and what is withdrawn for it; nil where the same one is under way.
  mutating func announce(
    _ kind: UInt8,
    _ pieces: [MessagePiece]
  ) -> (Announcement, withdrawn: [UInt32])? {
    var announced: [Announcement.Piece] = []
    var blobs: [Int: Blob] = [:]
    for piece in Self.few(pieces) {
      switch piece {
      case .bytes(let bytes) where bytes.count <= Announcement.longestBytes:
        announced.append(.bytes(bytes))
      case .bytes(let bytes):
        blobs[announced.count] = Blob(bytes)
        announced.append(.blob(Digest.sha256(of: bytes), length: bytes.count))
      case .blob(let blob):
        blobs[announced.count] = blob
        announced.append(.blob(blob.digest, length: blob.bytes.count))
      }
    }
    for message in messages.values
    where message.announcement.kind == kind && message.announcement.pieces == announced {
      return nil
    }
    let withdrawn = withdraw(kind)
    lastNumber += 1
    let made = Announcement(number: lastNumber, kind: kind, pieces: announced)
    messages[lastNumber] = Message(announcement: made, blobs: blobs)
    return (made, withdrawn)
  }

  /// The bytes that the other end asks for, without copying them; nil where the message was withdrawn.
  ///
  /// - Throws: where there are no such bytes.
  func chunk(_ place: ChunkPlace) throws(CodecError) -> ArraySlice<UInt8>? {
    guard let message = messages[place.number] else {
      // It may have been withdrawn while the request was on its way.
      guard place.number > 0, place.number <= lastNumber else {
        throw .outOfRange(field: "number", value: "\(place.number)", allowed: "1...\(lastNumber)")
      }
      return nil
    }
    guard let blob = message.blobs[place.piece] else {
      throw .malformed(field: "piece", reason: "\(place.piece) is not one to ask for")
    }
    let (end, overflow) = place.offset.addingReportingOverflow(place.count)
    guard !overflow, end <= blob.bytes.count else {
      throw .outOfRange(
        field: "offset",
        value: "\(place.offset) + \(place.count)",
        allowed: "within \(blob.bytes.count) bytes"
      )
    }
    return blob.bytes[place.offset..<end]
  }

  /// The other end has the message.
  mutating func taken(_ number: UInt32) { messages[number] = nil }

  /// Forgets the messages of a kind; their numbers.
  mutating func withdraw(_ kind: UInt8) -> [UInt32] {
    let numbers = messages.filter { $0.value.announcement.kind == kind }.keys.sorted()
    for number in numbers { messages[number] = nil }
    return numbers
  }

  /// The same bytes in no more pieces than an announcement has.
  private static func few(_ pieces: [MessagePiece]) -> [MessagePiece] {
    guard pieces.count > Announcement.mostPieces else { return pieces }
    return [.bytes(pieces.flatMap(\.bytes))]
  }
}
