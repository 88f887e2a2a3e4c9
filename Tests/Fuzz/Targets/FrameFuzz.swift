// Apache-2.0.
import WireProtocol

/// A stream of bytes in pieces: the same frames however it is cut, and bodies within their limits.
let frameFuzzTarget = FuzzTarget("frames") { bytes in
  let limit = 4096
  let whole = frames(bytes, piece: max(1, bytes.count), limit: limit)
  for piece in [1, 3, 7, 64] {
    precondition(frames(bytes, piece: piece, limit: limit) == whole, "cuts of \(piece) change it")
  }
  for frame in whole.frames {
    guard let content = try? frame.content(limit: limit) else { continue }
    precondition(content.count <= limit)
    let packed = Frame.packed(kind: frame.kind, body: content)
    precondition((try? packed.content(limit: limit)) == content, "packing loses bytes")
  }
  // The bytes as a compressed body by themselves.
  let body = Frame(kind: 1, isCompressed: true, body: bytes)
  if let content = try? body.content(limit: 1 << 16) { precondition(content.count <= 1 << 16) }
}

/// What a decoder makes of a stream.
private struct Decoded: Equatable {
  var frames: [Frame] = []
  var error: FrameError?
}

private func frames(_ bytes: [UInt8], piece: Int, limit: Int) -> Decoded {
  var decoder = FrameDecoder { kind in kind < 64 ? limit : nil }
  var result = Decoded()
  var start = 0
  while start < bytes.count {
    let end = min(start + piece, bytes.count)
    do throws(FrameError) {
      result.frames += try decoder.feed(bytes[start..<end])
    } catch {
      result.error = error
      break
    }
    precondition(decoder.pendingBytes <= limit + Frame.headerBytes + piece, "it keeps too much")
    start = end
  }
  // How many frames come before an error depends on the cuts.
  if result.error != nil { result.frames = [] }
  return result
}
