// Apache-2.0.
import Codecs

/// How a vector of integers travels.
///
///     form u8 | elements varint | head of the form | chunks of 65,536 elements, the last shorter,
///         each: length varint, then 0 and the content or 1 and a zstd frame of it
///
/// A chunk is decoded alone, so a fold holds one chunk of each client at a time. What a form leaves out
/// is told to the encoder's caller, exactly: decoded = given − left, in integers.
enum DeltaCodec: Sendable, Equatable {
  /// Every integer; with 16 bits, of as many units of a power of two as makes all of them fit.
  case fixed(bits: Int)
  /// Blocks with a step of their own and 8 or 4 bits an element.
  case blocks(bits: Int)
  /// The largest share of the elements as one magnitude with signs (Yadav et al., ComPEFT, 2023).
  case ternary(density: Double)

  /// Elements of a chunk.
  static let chunkSize = 1 << 16

  /// Names in a run file.
  static let names = ["fixed32", "fixed16", "block8", "block4", "ternary"]

  /// The codec of a name.
  init(_ name: String, density: Double) {
    switch name {
    case "fixed16": self = .fixed(bits: 16)
    case "block8": self = .blocks(bits: 8)
    case "block4": self = .blocks(bits: 4)
    case "ternary": self = .ternary(density: density)
    default: self = .fixed(bits: 32)
    }
  }

  /// Whether everything arrives.
  var isLossless: Bool { self == .fixed(bits: 32) }

  /// Whether most elements are left out.
  var isSparse: Bool { form == 4 }

  /// First byte of a payload.
  var form: UInt8 {
    switch self {
    case .fixed(let bits): bits == 32 ? 0 : 1
    case .blocks(let bits): bits == 8 ? 2 : 3
    case .ternary: 4
    }
  }

  /// The payload of `amounts`, each within ±2^30; they become what it leaves out.
  func encode(_ amounts: inout [Int32]) -> [UInt8] {
    var writer = ByteWriter()
    writer.write(form)
    writer.write(count: amounts.count)
    var ternary: TernaryCode?
    var shift = 0
    switch self {
    case .fixed(let bits):
      // Of 32 bits every amount has them.
      let largest = bits < 32 ? IntegerKernels.largestMagnitude(amounts.span) : 0
      shift = FixedCode.shift(largest: largest, bits: bits)
      writer.write(UInt8(shift))
    case .blocks: break
    case .ternary(let density):
      let code = TernaryCode(amounts, density: density)
      writer.write(count: Int(code.scale))
      ternary = code
    }
    for body in bodies(&amounts, shift: shift, &ternary) {
      writer.write(count: body.count)
      writer.write(bytes: body)
    }
    return writer.bytes
  }

  /// The chunks without their lengths.
  private func bodies(
    _ amounts: inout [Int32],
    shift: Int,
    _ ternary: inout TernaryCode?
  ) -> [[UInt8]] {
    let count = amounts.count
    let chunks = (count + Self.chunkSize - 1) / Self.chunkSize
    var bodies = [[UInt8]](repeating: [], count: chunks)
    // SAFETY: each chunk has elements and a body of its own.
    unsafe amounts.withUnsafeMutableBufferPointer { amounts in
      unsafe bodies.withUnsafeMutableBufferPointer { bodies in
        func part(_ chunk: Int) -> UnsafeMutableBufferPointer<Int32> {
          let start = chunk * Self.chunkSize
          return unsafe UnsafeMutableBufferPointer(
            rebasing: amounts[start..<min(count, start + Self.chunkSize)]
          )
        }
        if ternary != nil {
          // What is kept at the threshold is counted from chunk to chunk.
          for chunk in 0..<chunks {
            var values = unsafe MutableSpan(_unsafeElements: part(chunk))
            unsafe bodies[chunk] = Self.body(ternary?.content(&values) ?? [])
          }
          return
        }
        ChunkTeam.run(chunks) { chunk in
          var values = unsafe MutableSpan(_unsafeElements: part(chunk))
          switch self {
          case .blocks(let bits):
            unsafe bodies[chunk] = Self.body(BlockCode(bits: bits).content(&values))
          case .fixed, .ternary:
            unsafe bodies[chunk] = Self.body(FixedCode.content(&values, shift: shift))
          }
        }
      }
    }
    return bodies
  }

  /// 0 and the content, or 1 and a shorter frame of it.
  private static func body(_ content: [UInt8]) -> [UInt8] {
    if let frame = Zstd.compressed(content, level: 1) { [1] + frame } else { [0] + content }
  }
}

/// A payload whose outer form is checked: its chunks can be asked for in any order.
struct DeltaPayload {
  private let codec: DeltaCodec
  private let bytes: [UInt8]
  /// Elements.
  let count: Int
  private let chunks: [Range<Int>]
  private var shift = 0
  private var scale: Int32 = 0
  /// Its elements where it has one chunk and that was decoded before.
  var whole: [Int32]?

  /// Refuses a payload of another codec or of another number of elements than `count`.
  init(_ bytes: [UInt8], codec: DeltaCodec, count: Int) throws(CodecError) {
    self.codec = codec
    self.bytes = bytes
    self.count = count
    var reader = ByteReader(bytes)
    let form = try reader.read(UInt8.self)
    guard form == codec.form else {
      throw .outOfRange(field: "form", value: "\(form)", allowed: "\(codec.form)")
    }
    let found = try reader.readCount(limit: Int(Int32.max), field: "elements")
    guard found == count else {
      throw .outOfRange(field: "elements", value: "\(found)", allowed: "\(count)")
    }
    switch codec {
    case .fixed(let bits):
      shift = Int(try reader.read(UInt8.self))
      guard shift <= 32 - bits else {
        throw .outOfRange(field: "shift", value: "\(shift)", allowed: "0...\(32 - bits)")
      }
    case .blocks: break
    case .ternary:
      scale = Int32(try reader.readCount(limit: Int(Int32.max), field: "scale"))
    }
    var chunks: [Range<Int>] = []
    for _ in stride(from: 0, to: count, by: DeltaCodec.chunkSize) {
      let length = try reader.readCount(limit: reader.remaining, field: "chunk")
      let start = bytes.count - reader.remaining
      _ = try reader.readBytes(length)
      chunks.append(start..<start + length)
    }
    try reader.finish()
    self.chunks = chunks
  }

  /// Chunks.
  var chunkCount: Int { chunks.count }

  /// Elements of a chunk.
  func range(of chunk: Int) -> Range<Int> {
    let start = chunk * DeltaCodec.chunkSize
    return start..<min(count, start + DeltaCodec.chunkSize)
  }

  /// amounts[0..<n] ← the n elements of a chunk.
  ///
  /// - Throws: `CodecError` where the chunk is none that an encoder makes.
  func decode(_ chunk: Int, into amounts: inout [Int32]) throws(CodecError) {
    let elements = range(of: chunk).count
    if let whole, whole.count == elements {
      amounts.replaceSubrange(0..<elements, with: whole)
      return
    }
    let body = bytes[chunks[chunk]]
    let limit: Int
    switch codec {
    case .fixed: limit = FixedCode.longest(elements)
    case .blocks(let bits): limit = BlockCode(bits: bits).length(elements)
    case .ternary: limit = TernaryCode.longest(elements)
    }
    let content: [UInt8]
    switch body.first {
    case 0: content = Array(body.dropFirst())
    case 1: content = try Zstd.content(body.dropFirst(), limit: limit, field: "chunk")
    default: throw .malformed(field: "chunk", reason: "begins with neither 0 nor 1")
    }
    var values = amounts.mutableSpan
    var part = values._mutatingExtracting(0..<elements)
    switch codec {
    case .fixed(let bits): try FixedCode.decode(content, bits: bits, shift: shift, into: &part)
    case .blocks(let bits): try BlockCode(bits: bits).decode(content, into: &part)
    case .ternary: try TernaryCode.decode(content, scale: scale, into: &part)
    }
  }

  /// Refuses what a later `decode` would; a single chunk is kept as `whole`.
  mutating func check() throws(CodecError) {
    guard chunks.count != 1 else {
      var amounts = [Int32](repeating: 0, count: count)
      try decode(0, into: &amounts)
      whole = amounts
      return
    }
    let payload = self
    try ChunkTeam.run(chunks.count) { chunk throws(CodecError) in
      var amounts = [Int32](repeating: 0, count: payload.range(of: chunk).count)
      try payload.decode(chunk, into: &amounts)
    }
  }

  /// All elements.
  func decoded() throws(CodecError) -> [Int32] {
    var all = [Int32](repeating: 0, count: count)
    try forEachChunk(of: &all) { amounts, target in
      for index in 0..<amounts.count { target[index] = amounts[index] }
    }
    return all
  }

  /// Calls `body` with the elements of each chunk and those of `all` in the same places.
  func forEachChunk(
    of all: inout [Int32],
    _ body: (Span<Int32>, inout MutableSpan<Int32>) -> Void
  ) throws(CodecError) {
    precondition(all.count == count)
    var failure: CodecError?
    // SAFETY: each chunk has elements of its own.
    unsafe all.withUnsafeMutableBufferPointer { all in
      do throws(CodecError) {
        try ChunkTeam.run(chunks.count) { chunk throws(CodecError) in
          let range = range(of: chunk)
          var amounts = [Int32](repeating: 0, count: range.count)
          try decode(chunk, into: &amounts)
          var target = unsafe MutableSpan(
            _unsafeElements: UnsafeMutableBufferPointer(rebasing: all[range])
          )
          body(amounts.span, &target)
        }
      } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
