// Apache-2.0.
import Codecs
import WireProtocol

/// Announcements and requests of chunks: what is read is bounded and is written as the same bytes.
let transferFuzzTarget = FuzzTarget("transfer") { bytes in
  if let announcement = try? Announcement(decoding: bytes) {
    precondition(announcement.encoded == bytes, "an announcement changes when it is written")
    precondition(announcement.pieces.count <= Announcement.mostPieces, "too many pieces")
    precondition(bytes.count <= Announcement.limit, "an announcement beyond its limit")
    precondition((0...64 << 40).contains(announcement.length), "a length beyond its limit")
  }
  if let place = try? ChunkPlace(decoding: bytes) {
    precondition(place.encoded == bytes, "a request changes when it is written")
    precondition((1...ChunkPlace.longest).contains(place.count), "a chunk beyond its limit")
    precondition(place.head.count <= ChunkPlace.headBytes, "a head beyond its limit")
    let chunk = place.head + [UInt8](repeating: 0, count: place.count)
    precondition(place.matches(chunk) && !place.matches(chunk + [0]), "another chunk")
  }
}
