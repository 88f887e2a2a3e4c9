// Apache-2.0.
import Codecs
import CommandLineTool

/// What a byte on the wire costs.
let codecBenchmark = Command(
  "codec",
  "Encode and decode the one-byte scalar code, hash a version."
) { _, console in
  let values = (0..<200_000).map { Float(($0 &* 7919) % 20_011 - 10_000) * 1e-3 }
  var bytes: [UInt8] = []
  let encode = try Measurement.of {
    bytes.removeAll(keepingCapacity: true)
    var random: UInt32 = 1
    for value in values {
      random = random &* 1_664_525 &+ 1_013_904_223
      bytes.append(try OneByteCode(value, random: random).byte)
    }
  }
  var sum: Float = 0
  let decode = Measurement.of {
    for byte in bytes { sum += OneByteCode(byte: byte).value }
  }
  let scale = 1e9 / Double(values.count)
  ReportRow("encode a scalar", encode.median * scale, "ns").write(to: console)
  ReportRow("decode a scalar", decode.median * scale, "ns").write(to: console)
  var worst: Float = 0
  for (value, byte) in zip(values, bytes) where value != 0 {
    let decoded = OneByteCode(byte: byte).value
    worst = max(worst, (decoded - value).magnitude / value.magnitude)
  }
  ReportRow("largest relative error of the code", Double(worst), "").write(to: console)
  let block = [UInt8](repeating: 0x5A, count: 1 << 24)
  var digest = Digest.sha256(of: [])
  let hash = Measurement.of { digest = Digest.sha256(of: block) }
  ReportRow("SHA-256", Double(block.count) / hash.median * 1e-9, "GB/s").write(to: console)
  // Keeps the results alive, so that the work is done.
  console.note("checks: \(sum.isFinite), \(digest.description.prefix(8))")
  return .ok
}
