// Apache-2.0.
import CKernels
import Tensors
import Testing

/// What tests of gradients share.
enum Gradients {
  /// Largest difference, relative to the larger magnitude and at least to `floor`.
  static func difference(_ a: [Float], _ b: [Float], floor: Float = 1e-2) -> Float {
    guard a.count == b.count else { return .infinity }
    return zip(a, b).reduce(0) { worst, pair in
      if pair.0 == pair.1 { return worst }
      let error = abs(pair.0 - pair.1) / max(abs(pair.0), abs(pair.1), floor)
      return error.isNaN ? .infinity : max(worst, error)
    }
  }

  /// Holds a gradient against the central difference of `loss` along a direction of noise.
  static func check(
    _ what: String,
    at values: [Float],
    gradient: [Float],
    tolerance: Double = 4e-3,
    _ loss: ([Float]) throws -> Double
  ) rethrows {
    let step: Float = 1.0 / 128
    let direction = values.indices.map { Samples.value($0, seed: 77) }
    let ahead = try loss(zip(values, direction).map { $0 + step * $1 })
    let behind = try loss(zip(values, direction).map { $0 - step * $1 })
    let measured = (ahead - behind) / Double(2 * step)
    let expected = zip(gradient, direction).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    let scale = max(abs(measured), abs(expected), 0.1)
    #expect(abs(measured - expected) <= tolerance * scale, "\(what): \(expected), not \(measured)")
  }

  /// `count` values of noise.
  static func noise(_ count: Int, seed: Int, scale: Float = 1) -> [Float] {
    (0..<count).map { Samples.value($0, seed: seed) * scale }
  }

  /// Σ a·b.
  static func dot(_ a: [Float], _ b: [Float]) -> Double {
    zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }

  /// Runs `body` with scratch of `bytes`, a guard behind it.
  static func withScratch(_ bytes: Int, _ body: (UnsafeMutableRawPointer) -> Void) {
    let scratch = AlignedBuffer(byteCount: bytes + 64)
    let end = unsafe scratch.baseAddress + bytes
    unsafe end.storeBytes(of: 0x5A5A_5A5A, as: UInt32.self)
    unsafe body(scratch.baseAddress)
    #expect(unsafe end.load(as: UInt32.self) == 0x5A5A_5A5A, "scratch overrun")
  }
}
