// Apache-2.0.
import CZstd
import Codecs

/// Why a compressed body cannot be read.
public enum CompressionError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The body does not say how long its content is, or is no zstd frame.
  case unknownSize
  /// The content would be longer than its kind allows.
  case tooLong(size: UInt64, limit: Int)
  /// The frame is damaged; the words are zstd's.
  case damaged(String)

  /// What was wrong.
  public var description: String {
    switch self {
    case .unknownSize: "compressed body without a size of its content"
    case .tooLong(let size, let limit):
      "compressed body of \(size) bytes, at most \(limit) are allowed"
    case .damaged(let words): "damaged compressed body: \(words)"
    }
  }
}

extension Frame {
  /// Shorter bodies are never compressed: zstd's own header eats the gain.
  public static let leastCompressed = 256

  /// A frame with its body compressed by zstd where that makes it shorter.
  ///
  /// - Parameter level: zstd's level; 3 for messages made in passing.
  public static func packed(kind: UInt8, body: [UInt8], level: Int32 = 3) -> Frame {
    guard body.count >= leastCompressed, !looksCompressed(body),
      let short = Zstd.compressed(body, level: level)
    else { return Frame(kind: kind, body: body) }
    return Frame(kind: kind, isCompressed: true, body: short)
  }

  /// The body as it was given to `packed`.
  ///
  /// - Parameter limit: the longest content in bytes; checked before anything is allocated.
  /// - Throws: `CompressionError`.
  public func content(limit: Int) throws(CompressionError) -> [UInt8] {
    guard isCompressed else { return body }
    // SAFETY: zstd reads body.count bytes.
    let size = unsafe body.withUnsafeBufferPointer { source in
      unsafe ZSTD_getFrameContentSize(source.baseAddress, source.count)
    }
    // The two greatest values mean "unknown" and "no frame".
    guard size < UInt64.max - 1 else { throw .unknownSize }
    guard size <= UInt64(limit) else { throw .tooLong(size: size, limit: limit) }
    var code = 0
    // SAFETY: zstd writes at most the capacity it is told.
    let content = unsafe [UInt8](unsafeUninitializedCapacity: Int(size)) { target, count in
      code = unsafe body.withUnsafeBufferPointer { source in
        unsafe ZSTD_decompress(target.baseAddress, Int(size), source.baseAddress, source.count)
      }
      count = ZSTD_isError(code) == 0 ? code : 0
    }
    guard ZSTD_isError(code) == 0 else {
      throw .damaged(unsafe String(cString: ZSTD_getErrorName(code)))
    }
    guard content.count == Int(size) else { throw .damaged("content shorter than announced") }
    return content
  }

  /// Whether bytes spread over a body are as different as those of compressed or random content: then
  /// another pass would cost time and gain next to nothing.
  ///
  /// Of 512 random bytes some 221 differ, with a deviation of 4.4; of text some 60.
  private static func looksCompressed(_ body: [UInt8]) -> Bool {
    guard body.count >= 2048 else { return false }
    var seen = [Bool](repeating: false, count: 256)
    var distinct = 0
    // An odd stride, so that no column of a table is met alone.
    let stride = (body.count / 512) | 1
    for sample in 0..<512 where !seen[Int(body[sample * stride % body.count])] {
      seen[Int(body[sample * stride % body.count])] = true
      distinct += 1
    }
    return distinct > 205
  }
}
