// Apache-2.0.
import Codecs

/// The elements of largest magnitude as their signs, all with one magnitude, the mean of theirs.
///
///     elements kept varint | Rice parameter b u8 | bits, the lowest of a byte first: for each the
///         gap since the one before as gap >> b ones, a zero and b bits, then 1 for a minus; padded by
///         zeros
struct TernaryCode {
  /// The magnitude.
  let scale: Int32
  private let threshold: Int32
  /// How many elements exactly at the threshold are kept.
  private var atThreshold: Int

  /// Keeps a share `density` of the elements, one at least.
  init(_ amounts: [Int32], density: Double) {
    let wanted = max(1, Int(density * Double(amounts.count)))
    // The threshold by its upper, then by its lower 16 bits: no sort of millions.
    var upper = [Int](repeating: 0, count: 1 << 15 + 1)
    for amount in amounts { upper[Int(amount.magnitude >> 16)] += 1 }
    var above = 0
    var bucket = upper.count - 1
    while bucket > 0, above + upper[bucket] < wanted {
      above += upper[bucket]
      bucket -= 1
    }
    var lower = [Int](repeating: 0, count: 1 << 16)
    for amount in amounts where Int(amount.magnitude >> 16) == bucket {
      lower[Int(amount.magnitude & 0xFFFF)] += 1
    }
    var rest = lower.count - 1
    while rest > 0, above + lower[rest] < wanted {
      above += lower[rest]
      rest -= 1
    }
    threshold = Int32(bucket << 16 | rest)
    // Zeros are never kept.
    atThreshold = threshold == 0 ? 0 : min(wanted - above, lower[rest])
    var sum = Int(threshold) * atThreshold
    for amount in amounts where amount.magnitude > UInt32(threshold) {
      sum += Int(amount.magnitude)
    }
    let kept = above + atThreshold
    scale = kept == 0 ? 0 : Int32((sum + kept / 2) / kept)
  }

  /// Bytes of a chunk at most: count and parameter, and less than three bytes for each element.
  static func longest(_ count: Int) -> Int { 16 + 3 * count }

  /// The chunk of `amounts`, which become what it leaves out.
  mutating func content(_ amounts: inout MutableSpan<Int32>) -> [UInt8] {
    var places: [(gap: Int, isNegative: Bool)] = []
    var next = 0
    for index in 0..<amounts.count {
      let amount = amounts[index]
      if amount.magnitude < UInt32(threshold) || amount == 0 { continue }
      if amount.magnitude == UInt32(threshold) {
        if atThreshold == 0 { continue }
        atThreshold -= 1
      }
      places.append((index - next, amount < 0))
      amounts[index] -= amount < 0 ? -scale : scale
      next = index + 1
    }
    // For gaps of a fair coin, the parameter near the logarithm of their mean is the shortest.
    let mean = places.isEmpty ? 0 : amounts.count / places.count * 7 / 10
    let parameter = mean == 0 ? 0 : Int.bitWidth - 1 - mean.leadingZeroBitCount
    var writer = ByteWriter()
    writer.write(count: places.count)
    writer.write(UInt8(parameter))
    var bits = BitPacker()
    for (gap, isNegative) in places {
      for _ in 0..<gap >> parameter { bits.append(1, bits: 1) }
      bits.append(0, bits: 1)
      bits.append(UInt32(gap & (1 << parameter - 1)), bits: parameter)
      bits.append(isNegative ? 1 : 0, bits: 1)
    }
    writer.write(bytes: bits.finish())
    return writer.bytes
  }

  /// amounts ← a chunk of as many elements.
  static func decode(
    _ content: [UInt8],
    scale: Int32,
    into amounts: inout MutableSpan<Int32>
  ) throws(CodecError) {
    for index in 0..<amounts.count { amounts[index] = 0 }
    var reader = ByteReader(content)
    let count = try reader.readCount(limit: amounts.count, field: "elements kept")
    let parameter = Int(try reader.read(UInt8.self))
    guard parameter <= 16 else {
      throw .outOfRange(field: "Rice parameter", value: "\(parameter)", allowed: "0...16")
    }
    var bits = CheckedBitReader(content[(content.count - reader.remaining)...])
    var next = 0
    for _ in 0..<count {
      var high = 0
      while try bits.read(1) == 1 {
        high += 1
        guard high << parameter <= amounts.count else {
          throw .malformed(field: "gap", reason: "past the end of the chunk")
        }
      }
      next += high << parameter + Int(try bits.read(parameter))
      guard next < amounts.count else {
        throw .malformed(field: "gap", reason: "past the end of the chunk")
      }
      amounts[next] = try bits.read(1) == 1 ? -scale : scale
      next += 1
    }
    try bits.finish()
  }
}
